"""import_environment: `NAME=value` reaches the environment where libraries look."""

from __future__ import annotations

import os

import pytest

from tayori.config.settings import Settings
from tayori.programs.daemons import environment


def test_values_are_set_and_bare_names_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"TZ": "UTC", "KRB5_KTNAME": "old"})
    text = "TZ, KRB5_KTNAME=/etc/postfix/smtp.keytab, { KRB5CCNAME = FILE:/a b }"
    environment.adopt(Settings.of({"import_environment": text}))
    assert os.environ == {"TZ": "UTC", "KRB5_KTNAME": "/etc/postfix/smtp.keytab", "KRB5CCNAME": "FILE:/a b"}


def test_the_default_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"LANG": "ja_JP.UTF-8"})
    environment.adopt(Settings.of({}))
    assert os.environ == {"LANG": "ja_JP.UTF-8"}
