from __future__ import annotations

from pathlib import Path

import pytest

from tayori.config import smtpdconf
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings


def test_keys_are_lower_case_and_the_first_line_wins() -> None:
    conf = smtpdconf.parse("# note\nPwcheck_Method: saslauthd\nmech_list: plain  login\nmech_list: cram-md5\n", "s")
    assert conf.get("pwcheck_method") == "saslauthd"
    assert conf.words("mech_list") == ("plain", "login")
    assert str(conf.origin("mech_list")) == "s:3"
    assert "saslauthd" not in repr(conf)


def test_a_line_without_colon_is_named_without_its_value() -> None:
    with pytest.raises(ConfigError) as caught:
        smtpdconf.parse("mech_list: plain\nsql_passwd = hunter2\n", "s")
    assert str(caught.value.origin) == "s:2"
    assert "hunter2" not in str(caught.value)


def test_order_of_folders(tmp_path: Path) -> None:
    own, other, usual = tmp_path / "sasl", tmp_path / "other", tmp_path / "usual"
    for folder in (own, other, usual):
        folder.mkdir()
    settings = Settings.of({"cyrus_sasl_config_path": str(other)}, directory=str(tmp_path))
    assert smtpdconf.find(settings, (str(usual),)) == smtpdconf.SmtpdConf()
    for folder in (usual, other, own):
        (folder / "smtpd.conf").write_text("mech_list: plain\n")
        assert smtpdconf.find(settings, (str(usual),)).path == str(folder / "smtpd.conf")
    named = Settings.of({"smtpd_sasl_path": "mymail"}, directory=str(tmp_path))
    assert smtpdconf.find(named, (str(usual),)).path == ""
