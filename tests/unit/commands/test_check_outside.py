"""What check finds at other servers, in DNS, in chains and in tables of domains."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from support.certificates import make
from support.dns import DnsServer
from support.peers import need_root
from support.ports import free_port
from tayori.config.lint import lint, read_source
from tayori.config.lint.source import Source
from tayori.config.system import System
from tayori.net.dns import Resolver
from tayori.net.system import probe
from tayori.programs.commands import check, check_dns, check_live, check_servers


def source(tmp_path: Path, main: str, system: System | None = None) -> Source:
    head = f"compatibility_level = 3.6\nmyhostname = mail.example.com\nqueue_directory = {tmp_path}/q\n"
    (tmp_path / "main.cf").write_text(head + main)
    return read_source(str(tmp_path), system or probe())


def servers(tmp_path: Path, main: str) -> list[tuple[str, str, int]]:
    return [(f.code, f"{f.title} {f.meaning}", f.origin.line) for f in check_servers.check(source(tmp_path, main))]


@pytest.mark.parametrize("kind", ["tcp:{}", "socketmap:inet:{}:map", "unionmap:{{static:x, tcp:{}}}", "proxy:tcp:{}"])
def test_table_servers(tmp_path: Path, kind: str) -> None:
    main = f"relay_domains = {kind.format(f'127.0.0.1:{free_port()}')}\n"
    ((code, text, line),) = servers(tmp_path, main)
    assert code == "table-server-unreachable" and line == 4
    assert "Connection refused" in text and "(in relay_domains)" in text
    with socket.create_server(("127.0.0.1", 0)) as there:
        main = f"relay_domains = {kind.format(f'127.0.0.1:{there.getsockname()[1]}')}\n"
        assert servers(tmp_path, main) == []


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("pgsql", "hosts = 127.0.0.1:{}"), ("mysql", "hosts = inet:127.0.0.1:{}"),
     ("ldap", "server_host = ldap://127.0.0.1:{}"), ("memcache", "memcache = inet:127.0.0.1:{}"),
     ("pgsql", "hosts = postgresql://me:secret@127.0.0.1:{}/mail"), ("ldap", "server_host = 127.0.0.1\nserver_port = {}")],
)  # fmt: skip
def test_databases(tmp_path: Path, kind: str, settings: str) -> None:
    main = f"virtual_alias_maps = {kind}:{tmp_path}/db.cf\n"
    port = free_port()
    (tmp_path / "db.cf").write_text(settings.format(port) + "\n")
    ((code, text, line),) = servers(tmp_path, main)
    assert (code, line) == ("table-server-unreachable", 4)
    assert f"does not answer at 127.0.0.1:{port}: Connection refused" in text and "secret" not in text
    with socket.create_server(("127.0.0.1", 0)) as there:
        (tmp_path / "db.cf").write_text(settings.format(there.getsockname()[1]) + "\n")
        assert servers(tmp_path, main) == []


def test_a_database_behind_a_socket(tmp_path: Path) -> None:
    (tmp_path / "db.cf").write_text(f"hosts = unix:{tmp_path}\n")
    ((_, text, _),) = servers(tmp_path, f"virtual_alias_maps = pgsql:{tmp_path}/db.cf\n")
    assert f"{tmp_path}/.s.PGSQL.5432: No such file or directory" in text


def test_policy_servers_and_milters(tmp_path: Path) -> None:
    port = free_port()
    main = (
        f"smtpd_recipient_restrictions = check_policy_service {{ inet:127.0.0.1:{port}, timeout=1s }},\n"
        "  check_policy_service unix:private/policy, reject_unauth_destination\n"
        f"smtpd_milters = inet:{port}@127.0.0.1, unix:/nowhere/milter\n"
    )
    found = servers(tmp_path, main)
    assert sorted((code, line) for code, _, line in found) == [
        ("milter-unreachable", 6), ("milter-unreachable", 6),
        ("policy-server-unreachable", 4), ("policy-server-unreachable", 5),
    ]  # fmt: skip
    texts = " ".join(text for _, text, _ in found)
    assert f"{tmp_path}/q/private/policy" in texts and "451 4.3.5" in texts and "tempfail" in texts


def test_the_number_of_servers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_servers, "MOST", 3)
    asked: list[object] = []
    monkeypatch.setattr(check_servers, "knock", lambda where: asked.append(where) or "no")
    tables = ", ".join(f"tcp:127.0.0.1:{n}" for n in range(1, 9))
    assert len(servers(tmp_path, f"relay_domains = {tables}\n")) == 3 == len(asked)


def test_a_table_that_the_servers_user_cannot_read(tmp_path: Path) -> None:
    need_root("another user's rights are looked at")
    for folder in [tmp_path, *tmp_path.parents]:
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    table = tmp_path / "t"
    table.write_text("a b\n")
    table.chmod(0o600)
    main = f"mail_owner = nobody\nrelay_domains = hash:{table}\n"
    ((code, text, line),) = servers(tmp_path, main)
    assert (code, line) == (
        "table-closed",
        5,
    ) and f"the user nobody, as whom the server works, may not read {table}" in text
    table.chmod(0o644)
    assert servers(tmp_path, main) == []


def names(tmp_path: Path, zones: dict[tuple[str, str], list[str] | str], own: str = "192.0.2.1/24") -> list[str]:
    read = source(tmp_path, "", System("mail.example.com", ("127.0.0.1/8", own)))
    with DnsServer(zones) as server:
        found = list(check_dns.names(read, Resolver(["127.0.0.1"], port=server.port, timeout=0.5)))
    assert {f.origin.line for f in found} <= {2}
    return [f.code for f in found]


A, PTR = ("mail.example.com", "A"), ("1.2.0.192.in-addr.arpa", "PTR")


def test_names_against_dns(tmp_path: Path) -> None:
    assert names(tmp_path, {A: ["192.0.2.1"], PTR: ["mail.example.com."]}) == []
    assert names(tmp_path, {}) == ["name-without-address"]
    assert names(tmp_path, {A: ["192.0.2.1"]}) == ["address-without-name"]
    assert names(tmp_path, {A: ["192.0.2.1"], PTR: ["host.isp.example."]}) == ["other-reverse-name"]
    assert names(tmp_path, {A: ["192.0.2.1"], PTR: ["mail.example.com."]}, "10.0.0.1/8") == ["address-elsewhere"]
    assert names(tmp_path, {A: "SERVFAIL"}) == ["dns-silent"]


def test_dns_is_asked_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "CHECKS", (check.lint,))
    asked: list[Source] = []
    monkeypatch.setattr(check, "names", lambda read: asked.append(read) or [])
    source(tmp_path, "")
    assert check.main(["-c", str(tmp_path)]) == 0 and not asked
    assert check.main(["-c", str(tmp_path), "--dns"]) == 0 and len(asked) == 1


def test_chains(tmp_path: Path) -> None:
    authority, other = make("Authority", ca=True), make("Other", ca=True)
    pair = make("mail.example.com", authority)
    file = tmp_path / "t.pem"

    def codes(text: bytes) -> list[str]:
        file.write_bytes(text)
        read = source(tmp_path, f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {file}\n")
        return [f.code for f in check_live.certificates(read) if f.code != "certificate-expired"]

    whole = pair.key_pem + pair.certificate_pem
    assert codes(whole + authority.certificate_pem) == []
    assert codes(whole) == ["certificate-chain"]
    assert codes(whole + other.certificate_pem) == ["certificate-chain"]
    own = make("mail.example.com")
    assert codes(own.key_pem + own.certificate_pem) == []


def test_a_domain_in_two_classes_by_a_table(tmp_path: Path) -> None:
    (tmp_path / "boxes").write_text("# ours\nexample.com OK\nother.example OK\nbox@example.com a/\n")
    (tmp_path / "list").write_text("other.example third.example\n")
    main = f"mydestination = example.com\nvirtual_mailbox_domains = hash:{tmp_path}/boxes\nrelay_domains = {tmp_path}/list\n"
    found = [f for f in lint(source(tmp_path, main)) if f.code == "domain-in-two-classes"]
    assert sorted(str(f.origin) for f in found) == [f"{tmp_path}/boxes:2", f"{tmp_path}/list:1"]


def test_the_open_relay_is_shown_as_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "CHECKS", (check.lint,))
    source(tmp_path, "smtpd_relay_restrictions = permit, reject\n")
    (tmp_path / "master.cf").write_text("2525 inet n - n - - smtpd\n")
    assert check.main(["-c", str(tmp_path)]) == 2
    out = capsys.readouterr().out
    assert "      (203.0.113.9 connects to mail.example.com, port 2525; no login)\n" in out
    assert "      C: RCPT TO:<b@elsewhere.example>\n      S: 250 2.1.5 Ok\n" in out
    assert check.main(["-c", str(tmp_path), "--json"]) == 2
    assert "C: DATA" in json.loads(capsys.readouterr().out)[0]["session"]
    closed = replace(read_source(str(tmp_path), probe()), services=())
    assert not any(f.session for f in lint(closed))


def test_knocking_at_a_path_too_long_for_a_socket() -> None:
    assert check_servers.knock(("", "/nowhere/" + "x" * 200)) != ""
    assert check_servers.knock(("127.0.0.1", "no-such-service-name")) != ""
