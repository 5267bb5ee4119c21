from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.sasl import refused_logins
from tayori.sasl.client import Login, PasswordMaps
from tayori.sasl.refused_logins import RefusedLogins
from tayori.tables.registry import Tables


def settings(**values: str) -> Settings:
    return Settings.of({"myhostname": "mail.example.com", **values})


def test_the_same_password_is_known_a_new_one_is_tried(tmp_path: Path) -> None:
    now = [1000.0]
    path = tmp_path / "refused.sqlite"
    one, two = (RefusedLogins(path, 90, clock=lambda: now[0]) for _ in range(2))

    async def scenario() -> None:
        assert await one.said("relay.example", "taro", "secret") == ""
        await one.note("relay.example", "taro", "secret", "535 5.7.8 no")
        assert await two.said("Relay.Example", "taro", "secret") == "535 5.7.8 no", "all workers know"
        for other in (("relay.example", "taro", "Secret"), ("relay.example", "jiro", "secret")):
            assert await two.said(*other) == ""
        assert await two.said("other.example", "taro", "secret") == ""
        await two.note("relay.example", "taro", "newer", "535 no")
        assert await one.said("relay.example", "taro", "secret") == "", "the last one counts"
        now[0] += 89
        assert await one.said("relay.example", "taro", "newer") == "535 no"
        now[0] += 1
        assert await one.said("relay.example", "taro", "newer") == "", "it ages"

    asyncio.run(scenario())
    data = path.read_bytes()
    assert b"secret" not in data and b"newer" not in data and b"taro" in data
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_bounded_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_logins, "MOST", 5)
    now = [0.0]
    memory = RefusedLogins(tmp_path / "x", 1000, clock=lambda: now[0])

    async def scenario() -> None:
        for number in range(12):
            now[0] += 1
            await memory.note(f"h{number}", "taro", "pw", "535")
        known = [number for number in range(12) if await memory.said(f"h{number}", "taro", "pw")]
        assert known == [7, 8, 9, 10, 11]

    asyncio.run(scenario())


def test_a_file_that_cannot_be_used_costs_nothing_but_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x").write_text("this is no database, but a text that is long enough to be taken for one " * 20)
    memory = RefusedLogins(tmp_path / "x", 1000)

    async def scenario() -> None:
        await memory.note("h", "taro", "geheim", "535")
        assert await memory.said("h", "taro", "geheim") == ""

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert caplog.text.count("cannot be remembered") == 1 and "geheim" not in caplog.text


def test_only_where_the_parameter_is_set(tmp_path: Path) -> None:
    assert RefusedLogins.of(settings(), "smtp", tmp_path) is None
    mine = settings(lmtp_sasl_auth_cache_name="proxy:btree:/var/lib/x", lmtp_sasl_auth_cache_time="2")
    assert RefusedLogins.of(mine, "smtp", tmp_path) is None
    found = RefusedLogins.of(mine, "lmtp", tmp_path)
    assert found is not None and found._seconds == 2 * 86400


def login(prefix: str = "smtp", **values: str) -> Login:
    mine = settings(**values)
    found = asyncio.run(PasswordMaps(mine, Tables(mine), prefix).find("relay.example", "relay.example", ""))
    assert isinstance(found, Login)
    return found


@pytest.mark.parametrize("prefix", ["smtp", "lmtp"])
def test_the_delimiter_and_the_authorization_name(prefix: str) -> None:
    maps = f"{prefix}_sasl_password_maps"
    plain = login(prefix, **{maps: "inline:{relay.example=ta#ro:se:cret}"})
    assert (plain.context.username, plain.context.password, plain.context.authzid) == ("ta#ro", "se:cret", "")
    mark = {f"{prefix}_sasl_password_result_delimiter": "#"}
    other = login(prefix, **{maps: "inline:{relay.example=ta:ro#se#cret}"}, **mark)
    assert (other.context.username, other.context.password) == ("ta:ro", "se#cret")
    both = login(prefix, **{maps: "inline:{relay.example=taro:x}"}, send_cyrus_sasl_authzid="yes")
    assert both.context.authzid == "taro"
    options = {f"{prefix}_sasl_security_options": "noanonymous"}
    chosen = login(prefix, **{maps: "inline:{relay.example=taro:x}"}, send_cyrus_sasl_authzid="yes", **options)
    mechanism = chosen.choose(["PLAIN"], False)
    assert mechanism is not None and mechanism[1].next(None) == b"taro\0taro\0x"
    for bad in ("", "ab", "\t"):
        with pytest.raises(ConfigError, match="is not one character"):
            login(prefix, **{maps: "static:a:b"}, **{f"{prefix}_sasl_password_result_delimiter": bad or "{ }"})


@pytest.mark.parametrize("prefix", ["smtp", "lmtp"])
def test_a_kind_of_client_that_there_is_not(prefix: str) -> None:
    with pytest.raises(ConfigError, match="dovecot is no SASL client"):
        login(prefix, **{f"{prefix}_sasl_password_maps": "static:a:b", f"{prefix}_sasl_type": "dovecot"})
