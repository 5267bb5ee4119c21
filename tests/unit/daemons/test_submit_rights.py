from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.daemons.smtpd.options import SmtpdOptions
from tayori.programs.daemons.submit import NotAllowed, Submit
from tayori.tables.registry import Tables

UID = next(user.pw_uid for user in pwd.getpwall() if user.pw_uid not in (0, os.geteuid()))
NAME = pwd.getpwuid(UID).pw_name


def may(users: str, uid: int = UID) -> bool:
    settings = Settings.of({"authorized_submit_users": users})
    nothing = SimpleNamespace()
    submit = Submit(settings, nothing, nothing, nothing, nothing, None, Tables(settings))  # type: ignore[arg-type]
    try:
        asyncio.run(submit._allow("authorized_submit_users", uid))
    except NotAllowed as error:
        assert NAME in str(error)
        return False
    return True


@pytest.mark.parametrize(
    ("users", "allowed"),
    [
        ("static:anyone", True),
        (NAME, True),
        ("nobody-else", False),
        ("", False),
        (f"!{NAME}, static:anyone", False),
        (f"inline:{{{NAME}=x}}", True),
        ("fail:x", False),
    ],
)
def test_users_names_and_tables(users: str, allowed: bool) -> None:
    assert may(users) is allowed
    assert may(users, 0)


def test_users_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"# who may\n{NAME}\n")
    assert may(str(tmp_path / "users"))


def test_an_override_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="no_header_checks"):
        SmtpdOptions.of(Settings.of({"receive_override_options": "no_address_mappings, no_header_checks"}))
