"""The same AUTH dialogues played to a real Postfix with Cyrus SASL and to tayori, both with one sasldb2.

What is compared: code, enhanced code and words of every reply, but the random part of challenges. Where ours answers
otherwise on purpose, DIFFERENT has the reason.
"""

from __future__ import annotations

import base64
import hmac
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.sasl.peers import PASSWORD, postfix_started, short_folder
from interop.sasl.test_postfix import MAIN, MASTER
from support.peers import need_root, require
from support.ports import free_port
from support.server import Server

pytest.importorskip("berkeleydb")
CONF = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {file}
mech_list: plain login cram-md5 digest-md5 scram-sha-1
"""
SETTINGS = {
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_sasl_local_domain": "local.example",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, defer",
    "smtpd_soft_error_limit": "1000",
    "smtpd_hard_error_limit": "1000",
}
Line = str | Callable[[bytes], str]


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(user: str, password: str = PASSWORD, authzid: str = "") -> str:
    return b64(f"{authzid}\0{user}\0{password}")


def cram(user: str, password: str = PASSWORD, upper: bool = False) -> Callable[[bytes], str]:
    def respond(challenge: bytes) -> str:
        digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
        return b64(f"{user} {digest.upper() if upper else digest}")

    return respond


GOOD = plain("taro")
DIALOGUES: dict[str, list[Line]] = {
    "plain": [f"AUTH PLAIN {GOOD}", f"AUTH PLAIN {GOOD}", "MAIL FROM:<a@b.example>"],
    "plain, in two steps": ["AUTH PLAIN", GOOD],
    "in lower case, blanks between": [f"auth  plain  {GOOD} "],
    "wrong, then right": [f"AUTH PLAIN {plain('taro', 'x')}", f"AUTH PLAIN {GOOD}"],
    "unknown": [f"AUTH PLAIN {plain('nobody')}"],
    "empty": ["AUTH PLAIN", "", "RSET"],
    "cancelled": ["AUTH PLAIN", "*", f"AUTH PLAIN {GOOD}"],
    "not a cancel": ["AUTH PLAIN", "* ", "RSET"],
    "bad base64": ["AUTH PLAIN !!!!", "AUTH PLAIN", "$$$$", "RSET"],
    "base64 cut short": [f"AUTH PLAIN {GOOD[:-1]}"],
    "base64 with blanks": ["AUTH PLAIN", f" {GOOD}", "AUTH PLAIN", f"{GOOD} ", "RSET"],
    "too much padding": [f"AUTH PLAIN {GOOD}===="],
    "an equals sign": ["AUTH PLAIN ="],
    "three words": [f"AUTH PLAIN {GOOD} more"],
    "no mechanism": ["AUTH"],
    "unknown mechanism": ["AUTH FOO", "AUTH NTLM2", "AUTH =", "AUTH *"],
    "acting as oneself": [f"AUTH PLAIN {plain('taro', authzid='taro')}"],
    "acting as oneself with the realm": [f"AUTH PLAIN {plain('taro', authzid='taro@local.example')}"],
    "acting as another": [f"AUTH PLAIN {plain('taro', authzid='jiro')}"],
    "too few and too many NULs": [f"AUTH PLAIN {b64(text)}" for text in ("taro", "taro\0x", "\0taro\0x\0")],
    "no password": [f"AUTH PLAIN {plain('taro', '')}", "AUTH LOGIN", b64("taro"), ""],
    "no name": [f"AUTH PLAIN {plain('')}"],
    "realm": [f"AUTH PLAIN {plain('taro@local.example')}"],
    "other realm": [f"AUTH PLAIN {plain('jiro@other.example')}"],
    "realm in capitals": [f"AUTH PLAIN {plain('taro@LOCAL.example')}"],
    "name in capitals": [f"AUTH PLAIN {plain('Taro')}"],
    "empty realm": [f"AUTH PLAIN {plain('taro@')}"],
    "realm alone": [f"AUTH PLAIN {plain('@local.example')}"],
    "blank before": [f"AUTH PLAIN {plain(' taro')}"],
    "blank behind": [f"AUTH PLAIN {plain('taro ')}"],
    "tab and line end around": [f"AUTH PLAIN {plain(chr(9) + 'taro' + chr(10))}"],
    "blank behind the realm": [f"AUTH PLAIN {plain('taro@local.example ')}"],
    "blank within": [f"AUTH PLAIN {plain('ta ro')}"],
    "blank in authzid": [f"AUTH PLAIN {plain('taro', authzid=' taro')}"],
    "blank in the password": [f"AUTH PLAIN {plain('taro', PASSWORD + ' ')}"],
    "login": ["AUTH LOGIN", b64("taro"), b64(PASSWORD)],
    "login, name first": [f"AUTH LOGIN {b64('taro')}", b64(PASSWORD)],
    "login, wrong": ["AUTH LOGIN", b64("taro"), b64("x")],
    "login, cancelled": ["AUTH LOGIN", "*", "AUTH LOGIN", b64("taro"), "*", "RSET"],
    "login, NUL": ["AUTH LOGIN", b64("taro"), b64(f"{PASSWORD}\0x")],
    "cram": ["AUTH CRAM-MD5", cram("taro")],
    "cram, blank behind": ["AUTH CRAM-MD5", cram("taro ")],
    "cram, realm": ["AUTH CRAM-MD5", cram("jiro@other.example")],
    "cram, wrong and unknown": ["AUTH CRAM-MD5", cram("taro", "x"), "AUTH CRAM-MD5", cram("nobody")],
    "cram, in capitals": ["AUTH CRAM-MD5", cram("taro", upper=True)],
    "cram, initial response": [f"AUTH CRAM-MD5 {b64('taro x')}"],
    "cram, no digest": ["AUTH CRAM-MD5", b64("taro"), "AUTH CRAM-MD5", "", "AUTH CRAM-MD5", "*", "RSET"],
    "digest, initial response": [f"AUTH DIGEST-MD5 {b64('x')}", "*", "RSET"],
    "digest, cancelled": ["AUTH DIGEST-MD5", "*", "RSET"],
    "scram, cancelled": [f"AUTH SCRAM-SHA-1 {b64('n,,n=taro,r=abcdefghijk')}", "*", "RSET"],
    "scram, broken": [f"AUTH SCRAM-SHA-1 {b64('garbage')}", "AUTH SCRAM-SHA-1", "", "RSET"],
    "scram, mandatory extension": [f"AUTH SCRAM-SHA-1 {b64('n,,m=x,n=taro,r=abcdefghijk')}"],
    "scram, broken last word": [f"AUTH SCRAM-SHA-1 {b64('n,,n=taro,r=abcdefghijk')}", b64("garbage")],
    "scram, empty last word": [f"AUTH SCRAM-SHA-1 {b64('n,,n=taro,r=abcdefghijk')}", ""],
    "in a transaction": ["MAIL FROM:<a@b.example>", f"AUTH PLAIN {GOOD}", "RSET", f"AUTH PLAIN {GOOD}"],
    "stays after RSET and EHLO": [f"AUTH PLAIN {GOOD}", "RSET", "HELO x", f"AUTH PLAIN {GOOD}"],
    "the longest line": ["AUTH PLAIN", "A" * 12284, "RSET"],
    "a line of the limit": ["AUTH PLAIN", "A" * 12288, "RSET"],
    "a line beyond": ["AUTH PLAIN", "A" * 30000, "RSET"],
    "MAIL AUTH=": [f"AUTH PLAIN {GOOD}", "MAIL FROM:<a@b.example> AUTH=<>", "RSET", "MAIL FROM:<a@b.example> AUTH=x"],
}
ARTEFACT = 'Cyrus decodes in groups of four; a rest of one to three gives the misleading "another step is needed"'
DIFFERENT = {
    "not a cancel": ARTEFACT,
    "base64 cut short": ARTEFACT,
    "an equals sign": ARTEFACT,
    "no name": "Postfix answers 454, on which a client tries again for ever; ours says 535",
    "login, NUL": "Cyrus compares up to the NUL; another password is another password",
    "cram, in capitals": "RFC 2195 asks for lower case; ours takes either, as it takes nothing else for it",
}


def replies(port: int, lines: list[Line]) -> list[str]:
    """Each reply on one line; of a longer challenge only that it is one."""
    found = []
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo("client.example")
        text = b""
        for line in lines:
            client.putcmd(line(base64.b64decode(text)) if callable(line) else line)
            code, text = client.getreply()
            long = code == 334 and len(text) > 16
            found.append(f"334 {'…' if long else text.decode()}" if code == 334 else f"{code} {text.decode()}")
    return found


@contextmanager
def real_postfix(conf: str) -> Iterator[int]:
    require("postfix")
    with short_folder() as folder:
        for name in ("etc/sasl", "q", "d"):
            (folder / name).mkdir(parents=True)
        subprocess.run(["chown", "postfix", str(folder / "d")], check=True)
        port = free_port()
        more = "".join(f"{name} = {value}\n" for name, value in SETTINGS.items())
        (folder / "etc/main.cf").write_text(MAIN.format(folder=folder, log=folder / "log") + more)
        (folder / "etc/master.cf").write_text(MASTER.format(port=port))
        (folder / "etc/sasl/smtpd.conf").write_text(conf)
        with postfix_started(folder / "etc", port):
            yield port


@pytest.mark.root
@pytest.mark.peer
def test_the_same_replies(tmp_path: Path) -> None:
    need_root("Postfix")
    require("saslpasswd2", "sasl2-bin")
    with short_folder() as folder:
        file = folder / "sasldb2"
        for user, realm in (("taro", "local.example"), ("jiro", "other.example")):
            words = ["saslpasswd2", "-p", "-c", "-f", str(file), "-u", realm, user]
            subprocess.run(words, input=PASSWORD.encode(), check=True, timeout=30)
        file.chmod(0o644)
        conf = CONF.format(file=file)
        with real_postfix(conf) as port:
            theirs = {name: replies(port, lines) for name, lines in DIALOGUES.items()}
        ours = {}
        # a few at a time to each server: so many failures from one address are held back
        names = list(DIALOGUES)
        for start in range(0, len(names), 12):
            root = tmp_path / str(start)
            with Server(root, SETTINGS, files={"sasl/smtpd.conf": conf}) as server:
                for name in names[start : start + 12]:
                    ours[name] = replies(server.port, DIALOGUES[name])
                if start == 0:
                    server.stop()
                    log = server.log()
    differing = {name: (theirs[name], ours[name]) for name in DIALOGUES if theirs[name] != ours[name]}
    assert differing.keys() == DIFFERENT.keys(), differing
    for name, (real, mine) in differing.items():
        codes = name not in ("no name", "login, NUL", "cram, in capitals")
        assert not codes or [text[:9] for text in real] == [text[:9] for text in mine], name
    for who, why in (("taro@local.example", "wrong password"), ("(unavailable)", "PLAIN needs two NULs, got 0")):
        words = f"warning: unknown[127.0.0.1]: SASL PLAIN authentication failed: {why}"  # what fail2ban looks for
        assert any(words in line and line.endswith(f", sasl_username={who}") for line in log.splitlines()), log
    assert "warning: unknown[127.0.0.1]: SASL PLAIN authentication aborted\n" in log
    assert ours["login, NUL"][-1].startswith("535") and ours["empty realm"][-1].startswith("535")
