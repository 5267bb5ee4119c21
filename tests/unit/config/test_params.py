from __future__ import annotations

from pathlib import Path

import pytest

from tayori.config.manual import parameters_md
from tayori.config.origin import ConfigError
from tayori.config.params import GROUPS, PARAMETERS, TEMPLATES, Kind, Status, row_of
from tayori.config.settings import Settings

ROOT = Path(__file__).parents[3]
ORDINARY = [row for row in PARAMETERS.values() if row not in TEMPLATES.values()]


def test_all_958_names_of_postfix_and_no_name_twice() -> None:
    assert sum(len(group.rows) for group in GROUPS) == len(PARAMETERS)
    assert sum(not row.tayori for row in PARAMETERS.values()) == 958


def test_docs_are_made_from_the_rows() -> None:
    assert (ROOT / "docs" / "parameters.md").read_text() == parameters_md(), "python -m tayori.config.manual"


@pytest.mark.parametrize("level", ["0", "3.6"])
def test_every_default_fits_its_kind(level: str) -> None:
    settings = Settings.of({"compatibility_level": level})
    for row in ORDINARY:
        if row.kind is Kind.FLAG and settings.text(row.name):
            settings.flag(row.name)
        elif row.kind in (Kind.NUMBER, Kind.CODE):
            settings.number(row.name)
        elif row.kind is Kind.TIME:
            settings.seconds(row.name)
        elif row.kind is Kind.CHOICE:
            assert settings.text(row.name) in row.choices, row.name
        else:
            settings.items(row.name) if row.kind is not Kind.TEXT else settings.text(row.name)


def test_old_names_say_what_took_their_place() -> None:
    for row in PARAMETERS.values():
        assert (row.status is Status.TRANSLATED) is bool(row.instead), row.name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smtpd_forbid_bare_newline", "normalize"),
        ("smtp_tls_security_level", "may"),
        ("mail_name", "Postfix"),
        ("relay_domains", "localhost.localdomain, localhost.localdomain, localhost"),
        ("smtpd_relay_restrictions", ""),
        ("mynetworks_style", "subnet"),
    ],
)
def test_defaults_at_level_0(name: str, expected: str) -> None:
    assert Settings.of({}).text(name) == expected


def test_bare_times_take_the_unit_of_their_default() -> None:
    settings = Settings.of({"maximal_queue_lifetime": "3", "delay_warning_time": "4", "smtpd_timeout": "5"})
    assert settings.seconds("maximal_queue_lifetime") == 3 * 86400
    assert settings.seconds("delay_warning_time") == 4 * 3600
    assert settings.seconds("smtpd_timeout") == 5


def test_per_transport_names_follow_their_template() -> None:
    settings = Settings.of({"default_destination_concurrency_limit": "7", "maildrop_time_limit": "5m"})
    assert settings.number("maildrop_destination_concurrency_limit") == 7
    assert settings.seconds("maildrop_time_limit") == 300
    assert settings.raw("my_own_name") is None
    row = row_of("x_destination_recipient_limit")
    assert row is not None and row.kind is Kind.NUMBER


def test_bounds_hold() -> None:
    with pytest.raises(ConfigError, match="least is 1"):
        Settings.of({"hopcount_limit": "0"}).number("hopcount_limit")
