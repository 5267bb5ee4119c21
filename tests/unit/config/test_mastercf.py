from __future__ import annotations

from pathlib import Path

import pytest

from tayori.config import mastercf
from tayori.config.maincf import Assignment
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings


def values(assignments: tuple[Assignment, ...]) -> list[tuple[str, str, int]]:
    return [(a.name, a.value, a.origin.line) for a in assignments]


def test_overrides_in_each_spelling_carry_their_line() -> None:
    text = (
        "submission inet n - y - - smtpd\n"
        "  -o syslog_name=postfix/submission\n"
        "# a note between\n"
        "  -o { smtpd_client_restrictions = permit_mynetworks, reject }\n"
        "  -osmtpd_tls_wrappermode=yes -v\n"
    )
    (service,) = mastercf.parse(text, "m")
    assert values(service.overrides) == [
        ("syslog_name", "postfix/submission", 2),
        ("smtpd_client_restrictions", "permit_mynetworks, reject", 4),
        ("smtpd_tls_wrappermode", "yes", 5),
    ]
    assert service.args == ("-v",)
    assert service.columns == ("submission", "inet", "n", "-", "y", "-", "-")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smtp", ("", 25)),
        ("submissions", ("", 465)),
        ("10025", ("", 10025)),
        ("127.0.0.1:smtp", ("127.0.0.1", 25)),
        ("[::1]:587", ("::1", 587)),
        ("localhost:lmtp", ("localhost", 24)),
    ],
)
def test_host_port(name: str, expected: tuple[str, int]) -> None:
    (service,) = mastercf.parse(f"{name} inet n - - - - smtpd", "m")
    assert service.host_port() == expected


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("smtp inet n - - - smtpd", "7 of the 8"),
        ("smtp ient n - - - - smtpd", "no service type"),
        ("smtp inet x - - - - smtpd", "private"),
        ("smtp inet n - - - many smtpd", "process_limit"),
        ("smtp inet n - - - - smtpd -o", "names no setting"),
        ("smtp inet n - - - - smtpd -o a = b", "not name=value"),
        ("smtp inet n - - - - smtpd -o { a = b", "closing"),
    ],
)
def test_errors_name_the_line(line: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mastercf.parse("# first\n" + line, "m")
    assert part in str(caught.value)
    assert str(caught.value.origin) == "m:2"


def test_pipe_arguments_stay_whole() -> None:
    (service,) = mastercf.parse("maildrop unix - n n - - pipe\n flags=DRXhu user=v argv=/bin/x -o { a b }", "m")
    assert service.args == ("flags=DRXhu", "user=v", "argv=/bin/x", "-o", "a b")
    assert service.overrides == ()


def test_without_file_one_smtpd_on_port_25(tmp_path: Path) -> None:
    settings = Settings.of({}, directory=str(tmp_path))
    (service,) = mastercf.read_services(settings)
    assert (service.command, service.host_port()) == ("smtpd", ("", 25))
    (tmp_path / "master.cf").write_text("2525 inet n - - - - smtpd\n2525 inet n - - - 5 smtpd\n")
    (service,) = mastercf.read_services(settings)
    assert (service.name, service.maxproc) == ("2525", "5")


def test_service_settings_win_over_main_cf() -> None:
    (service,) = mastercf.parse("smtps inet n - - - - smtpd -o smtpd_tls_wrappermode=yes", "m")
    seen = service.settings(Settings.of({"smtpd_tls_wrappermode": "no"}))
    assert seen.text("smtpd_tls_wrappermode") == "yes"
    assert str(seen.origin("smtpd_tls_wrappermode")) == "m:1"
