"""Match lists: order, negation, parents, networks, files, tables."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.tables.matchlist import Kind, Match, MatchList
from tayori.tables.outcome import TempFail
from tayori.tables.registry import Tables


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(value: str, kind: Kind, parents: bool = False, clock: Clock | None = None) -> MatchList:
    settings = Settings.of(
        {"relay_domains": value, "parent_domain_matches_subdomains": "relay_domains" if parents else ""}
    )
    return MatchList.from_settings(Tables(settings, clock or Clock()), settings, "relay_domains", kind)


def hits(found: MatchList, text: str) -> str | None:
    answer = asyncio.run(found.match(text))
    assert not isinstance(answer, TempFail)
    return answer.pattern if answer else None


@pytest.mark.parametrize(
    ("value", "parents", "text", "pattern"),
    [
        ("example.com", False, "EXAMPLE.com", "example.com"),
        ("example.com", False, "a.example.com", None),
        ("example.com", True, "a.b.example.com", "example.com"),
        ("example.com", True, "badexample.com", None),
        (".example.com", False, "a.example.com", ".example.com"),
        (".example.com", False, "example.com", None),
        (".example.com", True, "a.example.com", None),
        ("!a.example.com, example.com", True, "a.example.com", None),
        ("!a.example.com, example.com", True, "b.a.example.com", None),
        ("!a.example.com, example.com", True, "c.example.com", "example.com"),
        ("example.com, !a.example.com", True, "a.example.com", "example.com"),
        ("inline:{example.com=x}", True, "a.example.com", "inline:{example.com=x}"),
        ("inline:{.example.com=x}", False, "a.example.com", "inline:{.example.com=x}"),
        ("inline:{example.com=x}", False, "a.example.com", None),
        ("!inline:{a.com=x} static:all", False, "a.com", None),
        ("!inline:{a.com=x} static:all", False, "b.com", "static:all"),
    ],
)
def test_domains(value: str, parents: bool, text: str, pattern: str | None) -> None:
    assert hits(make(value, Kind.DOMAIN, parents), text) == pattern


@pytest.mark.parametrize(
    ("value", "text", "pattern"),
    [
        ("192.168.1.0/24, 127.0.0.0/8", "127.9.9.9", "127.0.0.0/8"),
        ("192.168.1.0/24", "192.168.2.1", None),
        ("[2001:db8::]/32", "2001:DB8:1::5", "[2001:db8::]/32"),
        ("[2001:db8::1]", "2001:db8::1", "[2001:db8::1]"),
        ("2001:db8::/32", "2001:db8::1", "2001:db8::/32"),
        ("!10.1.1.1 10.0.0.0/8", "10.1.1.1", None),
        ("10.0.0.0/8 !10.1.1.1", "10.1.1.1", "10.0.0.0/8"),
        ("0.0.0.0/0", "8.8.8.8", "0.0.0.0/0"),
        ("0.0.0.0/0", "::1", None),
        ("10.0.0.0/8", "unknown", None),
        ("10.0.0.0/8", "", None),
        ("mail.example.com, 192.168.1.*, 10.0.0.1-10.0.0.9, 10.0.0.5", "10.0.0.5", "10.0.0.5"),
        ("mail.example.com, 192.168.1.*, 10.0.0.1-10.0.0.9", "192.168.1.1", None),
        ("cidr:{{10.0.0.0/8 x}}", "10.2.3.4", "cidr:{{10.0.0.0/8 x}}"),
    ],
)
def test_networks(value: str, text: str, pattern: str | None) -> None:
    assert hits(make(value, Kind.NETWORK), text) == pattern


@pytest.mark.parametrize("value", ["10.0.0.1/8", "10.0.0.0/33", "300.1.1.1", "[::1", "::1/129", "!"])
def test_bad_networks_are_named_with_their_line(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(f"127.0.0.1 {value}", Kind.NETWORK)
    assert caught.value.origin == Origin("test/main.cf", 1)


def test_bits_beyond_the_prefix_get_the_right_network() -> None:
    with pytest.raises(ConfigError, match=r"write 10\.0\.0\.0/8"):
        make("10.0.0.1/8", Kind.NETWORK)


def test_hosts_by_name_and_address() -> None:
    clients = make("!10.9.9.9 .example.com 10.0.0.0/8", Kind.HOST)
    run = asyncio.run
    assert run(clients.match_client("mail.example.com", "8.8.8.8")) == Match(
        ".example.com", Origin("test/main.cf", 1)
    )
    assert run(clients.match_client("unknown", "10.1.1.1")) == Match("10.0.0.0/8", Origin("test/main.cf", 1))
    assert run(clients.match_client("mail.example.com", "10.9.9.9")) is None


def test_files_are_read_with_their_lines_and_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    source = tmp_path / "nets"
    source.write_text("# c\n10.0.0.0/8\n!11.1.1.1 11.0.0.0/8\n")
    nets = make(f"!10.1.1.1 {source}", Kind.NETWORK, clock=clock)
    assert asyncio.run(nets.match("11.2.2.2")) == Match("11.0.0.0/8", Origin(str(source), 3))
    assert hits(nets, "10.1.1.1") is None and hits(nets, "11.1.1.1") is None
    source.write_text("12.0.0.0/8\n")
    then = time.time() - 5
    os.utime(source, (then, then))
    clock.now += 1.1
    assert hits(nets, "12.1.1.1") == "12.0.0.0/8" and hits(nets, "11.2.2.2") is None
    source.write_text("12.0.0.0/99\n")
    clock.now += 1.1
    assert hits(nets, "12.1.1.1") == "12.0.0.0/8"
    assert f"{source}:1" in caplog.text


def test_missing_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match="/nonexistent"):
        make("/nonexistent", Kind.STRING)


def test_failing_table_is_try_later() -> None:
    assert isinstance(asyncio.run(make("a.com fail:x b.com", Kind.DOMAIN).match("b.com")), TempFail)
    assert hits(make("a.com fail:x", Kind.DOMAIN), "a.com") == "a.com"


def test_ten_thousand_networks_cost_microseconds() -> None:
    value = " ".join(f"10.{n >> 8}.{n & 255}.0/24" for n in range(10_000))
    nets = make(value, Kind.NETWORK)

    async def many() -> float:
        start = time.perf_counter()
        for _ in range(2000):
            await nets.match("10.39.15.7")
        return (time.perf_counter() - start) / 2000

    assert hits(nets, "10.39.15.7") == "10.39.15.0/24"
    assert asyncio.run(many()) < 200e-6
