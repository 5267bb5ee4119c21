"""The resolver against a private server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.dns import DnsServer
from tayori.net.dns import ClientNames, DnsTempFail, HostsFile, NoData, NoSuchName, Record, Records, Resolver

ZONES: dict[tuple[str, str], list[str] | str] = {
    ("example.com", "MX"): ["20 b.example.com.", "10 A.example.com."],
    ("a.example.com", "A"): ["192.0.2.1"],
    ("a.example.com", "AAAA"): ["2001:db8::1"],
    ("null.example", "MX"): ["0 ."],
    ("txt.example", "TXT"): ['"one" " two"'],
    ("_s._tcp.example", "SRV"): ["1 2 25 t.example."],
    ("broken.example", "A"): "SERVFAIL",
    ("silent.example", "A"): "TIMEOUT",
    ("1.2.0.192.in-addr.arpa", "PTR"): ["a.example.com."],
    ("2.2.0.192.in-addr.arpa", "PTR"): ["a.example.com."],
    ("3.2.0.192.in-addr.arpa", "PTR"): ["gone.example."],
    ("4.2.0.192.in-addr.arpa", "PTR"): "SERVFAIL",
    ("5.2.0.192.in-addr.arpa", "PTR"): ["192.0.2.5."],
    ("6.2.0.192.in-addr.arpa", "PTR"): ["broken.example."],
    ("7.2.0.192.in-addr.arpa", "PTR"): "TIMEOUT",
}


def ask(kind: str, *names: str) -> list[object]:
    async def run(server: DnsServer) -> list[object]:
        resolver = Resolver(["127.0.0.1"], server.port, timeout=0.5, hosts=HostsFile("/nonexistent"))
        return [await resolver.lookup(name, kind) for name in names]

    with DnsServer(ZONES) as server:
        return asyncio.run(run(server))


def test_answers_of_every_kind() -> None:
    [found] = ask("MX", "Example.COM.")
    assert isinstance(found, Records)
    assert set(found.records) == {Record("b.example.com", 20, ttl=60), Record("a.example.com", 10, ttl=60)}
    assert ask("MX", "null.example") == [Records((Record("", 0, ttl=60),))]
    assert ask("TXT", "txt.example") == [Records((Record("one two", ttl=60),))]
    assert ask("SRV", "_s._tcp.example") == [Records((Record("t.example", 1, 2, 25, 60),))]
    assert ask("A", "nowhere.example", "example.com", "x" * 64 + ".example", "a..b") == [
        NoSuchName(),
        NoData(),
        NoSuchName(),
        NoSuchName(),
    ]
    assert all(isinstance(answer, DnsTempFail) for answer in ask("A", "broken.example", "silent.example"))


def test_answers_are_kept_and_asked_once() -> None:
    async def run(server: DnsServer) -> None:
        now = [0.0]
        resolver = Resolver(["127.0.0.1"], server.port, timeout=1, clock=lambda: now[0])
        await asyncio.gather(*(resolver.lookup("a.example.com", "A") for _ in range(5)))
        await resolver.lookup("a.example.com", "A")
        assert len(server.asked) == 1
        now[0] = 61
        await resolver.lookup("a.example.com", "A")
        assert len(server.asked) == 2

    with DnsServer(ZONES) as server:
        asyncio.run(run(server))


def test_client_names(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost me # note\n::1 localhost\nbad line\n192.0.2.9\tlisted.example\n")
    expected = {
        "127.0.0.1": ClientNames("localhost", "localhost", 2, 2),
        "::1": ClientNames("localhost", "localhost", 2, 2),
        "192.0.2.9": ClientNames("listed.example", "listed.example", 2, 2),
        "192.0.2.1": ClientNames("a.example.com", "a.example.com", 2, 2),
        "192.0.2.2": ClientNames("unknown", "a.example.com", 5, 2),
        "192.0.2.3": ClientNames("unknown", "gone.example", 5, 2),
        "192.0.2.4": ClientNames("unknown", "unknown", 4, 4),
        "192.0.2.5": ClientNames("unknown", "unknown", 5, 5),
        "192.0.2.6": ClientNames("unknown", "broken.example", 4, 2),
        "192.0.2.7": ClientNames("unknown", "unknown", 4, 4),
        "192.0.2.8": ClientNames("unknown", "unknown", 5, 5),
        "no address": ClientNames("unknown", "unknown", 5, 5),
    }

    async def run(server: DnsServer) -> None:
        resolver = Resolver(["127.0.0.1"], server.port, timeout=1, hosts=HostsFile(str(hosts)))
        for address, names in expected.items():
            assert await resolver.client_names(address, 0.3) == names, address

    with DnsServer(ZONES) as server:
        asyncio.run(run(server))


def test_addresses_join_both_families_and_the_hosts_file(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.9 listed.example\n")

    async def run(server: DnsServer) -> None:
        resolver = Resolver(["127.0.0.1"], server.port, timeout=1, hosts=HostsFile(str(hosts)))
        both = await resolver.addresses("a.example.com")
        assert isinstance(both, Records) and both.values == ("192.0.2.1", "2001:db8::1")
        listed = await resolver.addresses("listed.example")
        assert isinstance(listed, Records) and listed.values == ("192.0.2.9",)
        assert await resolver.addresses("listed.example", hosts=False) == NoSuchName()
        assert await resolver.addresses("example.com") == NoData()
        assert isinstance(await resolver.addresses("broken.example"), DnsTempFail)

    with DnsServer(ZONES) as server:
        asyncio.run(run(server))
