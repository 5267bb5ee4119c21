"""GSSAPI and kerberos5 with a real KDC: what is let in, and every way in which it must not be."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from interop.sasl import pki
from interop.sasl.backends import HOST, folder_of, need_gssapi
from interop.sasl.clients import Login, curl, gsasl, smtptest
from interop.sasl.peers import PASSWORD, short_folder, tayori_saslauthd
from interop.sasl.test_saslauthd import cyrus_test
from support.kdc import Kdc, misled
from support.peers import require
from support.server import Server, mail_owner_exists
from tayori.config import smtpdconf
from tayori.sasl.mechanisms import MECHANISMS, ClientContext, ServerContext, gssapi
from tayori.sasl.steps import Challenge, Failure, SaslError, Step, Success
from tayori.sasl.verifiers.base import Accepted, TryLater, Verdict
from tayori.sasl.verifiers.kerberos import Kerberos

pytestmark = pytest.mark.peer
HERE = f"host/{socket.gethostname().lower()}"


@pytest.fixture
def kdc() -> Iterator[Kdc]:
    need_gssapi()
    with short_folder() as folder, Kdc(folder / "kdc") as made:
        made.user("taro", PASSWORD)
        made.keytab("smtp/localhost")
        yield made


@contextmanager
def served(tmp_path: Path, kdc: Kdc, conf: str = "", **main: str) -> Iterator[tuple[Server, Login]]:
    """A tayori that offers GSSAPI alone, and taro's login there."""
    folder_of(tmp_path)
    keys = pki.make(tmp_path)
    settings = {
        "myhostname": "localhost",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_local_domain": HOST,
        "smtpd_tls_security_level": "may",
        "smtpd_tls_chain_files": str(keys.server),
        **main,
    }
    with Server(tmp_path, settings, files={"sasl/smtpd.conf": f"mech_list: gssapi\n{conf}"}, env=kdc.env) as server:
        ticket = {**kdc.env, "KRB5CCNAME": kdc.ticket("taro", PASSWORD)}
        yield server, Login(server.port, "GSSAPI", "taro", "", keys, tmp_path, env=ticket)


def test_whom_a_ticket_may_act_as(tmp_path: Path, kdc: Kdc) -> None:
    with served(tmp_path, kdc) as (server, login):
        for whom in ("", "taro", "taro@EXAMPLE.COM", f"taro@{HOST}"):
            assert gsasl(replace(login, act_as=whom)), whom
        assert smtptest(login) and curl(login)
        for whom in ("hanako", "taro@other.example", "hanako@EXAMPLE.COM"):
            assert not gsasl(replace(login, act_as=whom)), whom
        assert not smtptest(replace(login, act_as="hanako"))
        log = server.wait_log("hanako@EXAMPLE.COM)")
        assert "login method=GSSAPI user=taro@mail.example.com client=127.0.0.1 backend=- result=accepted" in log
        assert "taro may not act as hanako" in re.sub(r"taro@EXAMPLE\.COM may", "taro may", log)


def test_an_anonymous_ticket_lets_nobody_in(tmp_path: Path) -> None:
    """FreeIPA's KDC, for one, gives them to anybody: without this the server would be an open relay."""
    need_gssapi()
    with short_folder() as folder, Kdc(folder / "kdc", anonymous=True) as kdc:
        kdc.user("taro", PASSWORD)
        kdc.keytab("smtp/localhost")
        with served(tmp_path, kdc) as (server, login):
            assert curl(login)
            nobody = replace(login, user="", env={**kdc.env, "KRB5CCNAME": kdc.anonymous_ticket()})
            assert not curl(nobody) and not gsasl(replace(nobody, user="x"))
            assert "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS for smtp/localhost" in kdc.log(), "the KDC gave one"
            server.wait_log("result=refused (an anonymous ticket names nobody)")


def test_tickets_that_do_not_hold(tmp_path: Path, kdc: Kdc) -> None:
    """Expired, for another service, of another realm, of a KDC that only says it is ours."""
    with served(tmp_path, kdc) as (server, login), Kdc(tmp_path / "away", "OTHER.EXAMPLE") as away:
        assert curl(login)
        short = {**login.env, "KRB5CCNAME": kdc.ticket("taro", PASSWORD, "-l", "2s")}
        assert smtptest(replace(login, env=short))
        away.user("taro", PASSWORD)
        away.keytab("smtp/localhost")
        elsewhere = {**away.env, "KRB5CCNAME": away.ticket("taro", PASSWORD)}
        kdc.change("change_password", "-randkey", "smtp/localhost")  # what new tickets are made with, not our keytab
        rekeyed = {**login.env, "KRB5CCNAME": kdc.ticket("taro", PASSWORD)}
        time.sleep(2.5)
        none = {**login.env, "KRB5CCNAME": "FILE:/nonexistent"}
        for env in (short, elsewhere, rekeyed, none):
            for client in (curl, smtptest, gsasl):
                assert not client(replace(login, env=env)), (env, client)
        refused = re.findall(r"login method=GSSAPI .* result=(.*)", server.log())
        assert len([line for line in refused if line.startswith("refused (GSSAPI: ")]) >= 2
        assert not [line for line in refused if line.startswith("try later")]


def test_no_key_no_offer(tmp_path: Path, kdc: Kdc) -> None:
    """Not offered, and both the log and `check` say why; with the key it is, and nobody asks for an account file."""
    missing = tmp_path / "other-keytab"
    with served(tmp_path, kdc, f"keytab: {missing}\n") as (server, _):
        assert not any("AUTH" in line for line in server.talk(["EHLO x", "QUIT"]))
        assert server.talk(["EHLO x", "AUTH GSSAPI"])[-1].startswith("535 5.7.8")
        checked = server.command("check", "-c", str(server.conf), check=False)
        assert f"no key for smtp/localhost in {missing}" in " ".join(checked.stdout.split()).replace(
            "No key", "no key"
        )
    (tmp_path / "second").mkdir()
    with served(tmp_path / "second", kdc, f"keytab: {kdc.keytab_path}\n") as (server, _):
        assert "250-AUTH GSSAPI" in server.talk(["EHLO x", "QUIT"])[1]
        assert "accounts" not in server.log()


@pytest.mark.root
def test_a_keytab_that_mail_owner_may_not_read(tmp_path: Path, kdc: Kdc) -> None:
    """What root could read when the server was set up does not count."""
    if os.geteuid() != 0 or not mail_owner_exists():
        pytest.skip("needs root: a mail_owner to be")
    kdc.keytab_path.chmod(0o600)
    with served(tmp_path, kdc) as (server, _):
        assert not any("AUTH" in line for line in server.talk(["EHLO x", "QUIT"]))
        where = "the keytab (keytab in smtpd.conf, KRB5_KTNAME)"
        server.wait_log(f"GSSAPI is not offered: no key for smtp/localhost in {where}: Permission denied")


def test_a_realm_that_ours_trusts(tmp_path: Path, kdc: Kdc) -> None:
    """Its people are known by their whole principal: taro of elsewhere is not our taro."""
    with served(tmp_path, kdc) as (server, login), Kdc(tmp_path / "away", "OTHER.EXAMPLE") as away:
        away.user("taro", PASSWORD)
        for each in (kdc, away):
            each.user("krbtgt/EXAMPLE.COM@OTHER.EXAMPLE", "shared")
        both = kdc.folder / "both.conf"
        realm = f"[realms]\n  OTHER.EXAMPLE = {{\n    kdc = 127.0.0.1:{away.port}\n  }}\n"
        both.write_text((kdc.folder / "krb5.conf").read_text().replace("[realms]\n", realm))
        env = {**login.env, "KRB5_CONFIG": str(both), "KRB5CCNAME": away.ticket("taro", PASSWORD)}
        assert curl(replace(login, env=env))
        server.wait_log("login method=GSSAPI user=taro@OTHER.EXAMPLE client=127.0.0.1 backend=- result=accepted")
        for whom in ("taro@EXAMPLE.COM", f"taro@{HOST}", "taro"):
            assert not gsasl(replace(login, env=env, act_as=whom)), whom


def test_the_keytab_of_import_environment(tmp_path: Path, kdc: Kdc) -> None:
    """As Postfix's users name it: KRB5_KTNAME set by main.cf."""
    path = kdc.env.pop("KRB5_KTNAME")
    empty = kdc.folder / "krb5.conf"
    empty.write_text(empty.read_text().replace(str(kdc.keytab_path), "/nonexistent"))
    with served(tmp_path, kdc, import_environment=f"TZ KRB5_KTNAME={path}") as (_, login):
        assert curl(login)


def steps(server_context: ServerContext, client_context: ClientContext) -> Step:
    """Both sides here, without SMTP."""
    server, client = MECHANISMS["GSSAPI"].server(server_context), MECHANISMS["GSSAPI"].client(client_context)
    step = server.next(client.next(None))
    for _ in range(10):
        if not isinstance(step, Challenge):
            return step
        step = server.next(client.next(step.data))
    raise AssertionError("without end")


def contexts(**changes: object) -> tuple[ServerContext, ClientContext]:
    server = ServerContext(realm=HOST, hostname="localhost", random=os.urandom, clock=time.time)
    client = ClientContext("", "", os.urandom, time.time, host="localhost")
    return server, replace(client, **changes)  # type: ignore[arg-type]


def test_security_layers(kdc: Kdc, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 4752: none is offered and none taken; a side that wants one is refused, as is a broken word."""
    for name, value in {**kdc.env, "KRB5CCNAME": kdc.ticket("taro", PASSWORD)}.items():
        monkeypatch.setenv(name, value)
    assert steps(*contexts()) == Success("taro")
    assert steps(*contexts(username="anybody")) == Success("taro"), "the map's name says nothing, as in Postfix"
    assert steps(*contexts(authzid="taro")) == Success("taro")
    assert isinstance(steps(*contexts(authzid="hanako")), Failure)
    gss = gssapi.library()
    target = gss.Name("smtp@localhost", gss.NameType.hostbased_service)
    words = (
        b"\1\0\0\0",
        b"\1\0\0\0taro",
        b"\2\0\x10\0",
        b"\4\0\x10\0taro",
        b"\1\0\0\1",
        b"\1\0\0",
        b"",
        b"\1\0\0\0\xff",
    )
    answers = []
    for word in words:
        session = gss.SecurityContext(name=target, usage="initiate")
        server = MECHANISMS["GSSAPI"].server(contexts()[0])
        step = server.next(session.step())
        assert isinstance(step, Challenge)
        session.step(step.data)
        offer = server.next(b"")
        if not session.complete:
            raise AssertionError("mutual authentication needs one more word")
        assert isinstance(offer, Challenge)
        plain = session.unwrap(offer.data)
        assert plain.message == b"\1\0\0\0" and not plain.encrypted
        answers.append(server.next(session.wrap(word, False).message))
    assert [isinstance(answer, Success) for answer in answers] == [True, True, *[False] * 6]
    assert "security layer" in getattr(answers[2], "why", "")


def test_a_server_that_insists_on_a_layer_or_has_another_key(kdc: Kdc, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**kdc.env, "KRB5CCNAME": kdc.ticket("taro", PASSWORD)}.items():
        monkeypatch.setenv(name, value)
    gss = gssapi.library()
    accept = gss.SecurityContext(usage="accept")
    client = MECHANISMS["GSSAPI"].client(contexts()[1])
    token = accept.step(client.next(None))
    assert client.next(token) == b""
    with pytest.raises(SaslError, match="insists on a security layer"):
        client.next(accept.wrap(b"\4\0\x10\0", False).message)
    assert not client.complete
    client = MECHANISMS["GSSAPI"].client(contexts()[1])
    client.next(None)
    with pytest.raises(SaslError, match="GSSAPI: "):
        client.next(b"not a token")
    with pytest.raises(SaslError, match=r"GSSAPI: .*(not found|No credentials|unknown)"):
        MECHANISMS["GSSAPI"].client(contexts(host="elsewhere.example")[1]).next(None)
    server = MECHANISMS["GSSAPI"].server(contexts()[0])
    for junk in (b"", b"junk", b"\x60\x03\x06\x01\x01"):
        assert isinstance(MECHANISMS["GSSAPI"].server(contexts()[0]).next(junk), Failure)
    assert isinstance(server.next(None), Challenge)


def bent(word: bytes, random: Random) -> bytes:
    """A word with a few octets changed, cut off, doubled or put in."""
    octets, at = bytearray(word or b"\0"), random.randrange(len(word) or 1)
    match random.randrange(4):
        case 0:
            octets[at] ^= 1 << random.randrange(8)
        case 1:
            del octets[at:]
        case 2:
            octets[at:at] = octets[at : at + random.randrange(1, 9)] or b"\0"
        case _:
            octets[at : at + 2] = random.randbytes(random.randrange(5))
    return bytes(octets) if bytes(octets) != word else word + b"\0"


def test_bent_words_let_nobody_else_in_and_never_crash(kdc: Kdc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a right exchange one word is bent, by either side: Failure here, SaslError there, and no other end.

    A few octets of Kerberos' words are not protected (RFC 4121 4.2.4: the rotation count), so that some are as good.
    """
    for name, value in {**kdc.env, "KRB5CCNAME": kdc.ticket("taro", PASSWORD)}.items():
        monkeypatch.setenv(name, value)
    random, refused = Random(4752), 0
    for turn in range(320):
        server_side, client_side = contexts()
        server, client = MECHANISMS["GSSAPI"].server(server_side), MECHANISMS["GSSAPI"].client(client_side)
        bend, step, said = turn % 5, None, 0  # which of the five words: ticket, answer, nothing, offer, choice
        word: bytes | None = client.next(None)
        try:
            while not isinstance(step, (Success, Failure)):
                assert word is not None and said < 10
                step = server.next(bent(word, random) if said == bend else word)
                if isinstance(step, Challenge):
                    word = client.next(bent(step.data, random) if said + 1 == bend else step.data)
                said += 2
        except SaslError:
            assert not client.complete
            refused += 1
            continue
        assert step == Success("taro") or isinstance(step, Failure), turn
        refused += isinstance(step, Failure)
    assert refused > 280


def test_testsaslauthd_with_kerberos5(kdc: Kdc) -> None:
    """Cyrus's own client asks `tayori saslauthd -a kerberos5`."""
    kdc.keytab(HERE)
    kdc.user("old", "x", "-pwexpire", "yesterday")
    env = {**os.environ, **kdc.env}
    with short_folder() as folder, tayori_saslauthd(folder, "-a", "kerberos5", env=env) as mux:
        good, no = '0: OK "Success."', '0: NO "authentication failed"'
        assert cyrus_test(mux, "taro", PASSWORD) == good
        assert cyrus_test(mux, "taro", PASSWORD, "-r", "EXAMPLE.COM") == good
        for user, password, *more in (
            ("taro", "bad"), ("nobody", "x"), ("old", "x"), ("taro", PASSWORD, "-r", "OTHER.EXAMPLE"),
            ("taro@a@b", "x"), ("\\", "x"),
        ):  # fmt: skip
            assert cyrus_test(mux, user, password, *more) == no, user
        kdc.stop()
        assert cyrus_test(mux, "taro", PASSWORD) not in (good, no), "nobody can be asked: no answer"
        log = (folder / "log").read_text()
        assert "auth failure: wrong password [user=taro]" in log and "no such principal [user=nobody]" in log
        assert "could not be asked: the KDC cannot be asked: Cannot contact any KDC" in log
        assert PASSWORD not in log


def test_a_false_kdc_lets_nobody_in(kdc: Kdc) -> None:
    """Whoever answers in the KDC's place knows any password he likes, but not the key of our keytab.

    Cyrus's saslauthd, with the same configuration, does the same; only what it answers then differs.
    """
    kdc.keytab(HERE)
    with short_folder() as folder, Kdc(folder / "false") as false:
        false.user("taro", "the attacker's")
        false.keytab(HERE)
        env = {**os.environ, **misled(kdc, folder / "misled", false.port)}
        (folder / "s").mkdir()
        with tayori_saslauthd(folder / "s", "-a", "kerberos5", env=env) as mux:
            said = cyrus_test(mux, "taro", "the attacker's")
            assert "OK" not in said
            log = (folder / "s/log").read_text()
            assert "our keytab cannot confirm that it is the real KDC" in log
            assert "taro@EXAMPLE.COM for krbtgt" in false.log(), "it was asked, and gave a ticket"


def test_krb5_keytab_and_krb5_verify_principal(kdc: Kdc, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of Cyrus's file for -O, and no key at all, which lets nobody in."""
    for name, value in kdc.env.items():
        monkeypatch.setenv(name, value)

    def ask(**conf: str) -> Verdict:
        text = "".join(f"krb5_{name}: {value}\n" for name, value in conf.items())

        async def run() -> Verdict:
            verifier = Kerberos.from_conf(smtpdconf.parse(text, "saslauthd.conf"))
            try:
                return await verifier.verify("taro", PASSWORD, "", "imap")
            finally:
                verifier.close()

        return asyncio.run(run())

    alone = ask()
    assert (
        isinstance(alone, TryLater) and "no key for host in the keytab, so a false KDC could not be told" in alone.why
    )
    assert isinstance(ask(verify_principal="smtp", servername="localhost"), Accepted)
    other = kdc.keytab("imap/localhost", kdc.folder / "imap.keytab")
    assert isinstance(ask(keytab=str(other), servername="localhost"), Accepted), "the client's own service"
    assert isinstance(ask(keytab=str(other), verify_principal="smtp", servername="elsewhere"), TryLater)
    assert isinstance(ask(keytab="/nonexistent"), TryLater)


def test_cyrus_saslauthd_tells_a_false_kdc_too(kdc: Kdc) -> None:
    """The peer that we compare with: the same keytab, the same false KDC."""
    if os.geteuid() != 0:
        pytest.skip("needs root: Cyrus's saslauthd")
    from interop.sasl.peers import running, wait_for

    kdc.keytab(HERE)
    with short_folder() as folder, Kdc(folder / "false") as false:
        false.user("taro", "the attacker's")
        false.keytab(HERE)
        for env, password, expected in (
            (kdc.env, PASSWORD, '0: OK "Success."'),
            (misled(kdc, folder / "misled", false.port), "the attacker's", '0: NO "authentication failed"'),
        ):
            command = (require("saslauthd", "sasl2-bin"), "-a", "kerberos5", "-d", "-m", str(folder), "-n", "1")
            with running(*command, env={**os.environ, **env}):
                wait_for((folder / "mux").exists)
                assert cyrus_test(folder / "mux", "taro", password) == expected
            (folder / "mux").unlink(missing_ok=True)
