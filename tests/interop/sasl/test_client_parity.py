"""What a real Postfix client and ours say to a server that wants a login, and what becomes of the mail."""

from __future__ import annotations

import re
import smtplib
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from interop.sasl.peers import postfix_started, short_folder
from support.peers import need_root, require
from support.ports import free_port
from support.server import STANDARD, Server
from support.sink import Sink

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
qmgr unix n - n 300 1 qmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
discard unix - - n - - discard
local unix - - n - - discard
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""
COMMON = {
    **STANDARD,
    "mydestination": "",
    "append_dot_mydomain": "no",
    "smtp_tls_security_level": "none",
    "smtp_sasl_auth_enable": "yes",
    "smtp_sasl_password_maps": "static:taro:himitsu",
    "smtp_sasl_security_options": "noanonymous",
    "lmtp_sasl_auth_enable": "yes",
    "lmtp_sasl_password_maps": "static:hanako:naisho",
    "lmtp_sasl_security_options": "noanonymous",
    "minimal_backoff_time": "1h",
    "queue_run_delay": "1h",
}
REFUSED = "535 5.7.8 Error: authentication failed"
CASES: dict[str, tuple[dict[str, str], str, str]] = {
    # name: (parameters, the answer to AUTH ("": taken), which client)
    "plain": ({}, REFUSED, "smtp"),
    "authzid": ({"send_cyrus_sasl_authzid": "yes"}, REFUSED, "smtp"),
    "hard": ({"smtp_sasl_auth_soft_bounce": "no"}, REFUSED, "smtp"),
    "hard-temporary": ({"smtp_sasl_auth_soft_bounce": "no"}, "454 4.7.0 later", "smtp"),
    "hard-other-code": ({"smtp_sasl_auth_soft_bounce": "no"}, "530 5.7.0 no", "smtp"),
    "no-enhanced-code": ({}, "535 no", "smtp"),
    "hard-no-enhanced-code": ({"smtp_sasl_auth_soft_bounce": "no"}, "535 no", "smtp"),
    "several-lines": ({}, "535-5.7.8 first\n535 5.7.8 second", "smtp"),
    "taken": ({}, "", "smtp"),
    "lmtp": ({"smtp_sasl_auth_soft_bounce": "no"}, REFUSED, "lmtp"),
    "lmtp-hard": ({"lmtp_sasl_auth_soft_bounce": "no"}, REFUSED, "lmtp"),
    "lmtp-authzid": ({"send_cyrus_sasl_authzid": "yes"}, REFUSED, "lmtp"),
    "lmtp-taken": ({}, "", "lmtp"),
    "cached": ({"smtp_sasl_auth_cache_name": "proxy:btree:@D@/cache"}, REFUSED, "smtp"),
    "cached-other-code": ({"smtp_sasl_auth_cache_name": "proxy:btree:@D@/cache2"}, "530 5.7.0 no", "smtp"),
    "cached-hard": (
        {"smtp_sasl_auth_cache_name": "proxy:btree:@D@/cache3", "smtp_sasl_auth_soft_bounce": "no"}, REFUSED, "smtp",
    ),
}  # fmt: skip
TWICE = ("cached", "cached-other-code", "cached-hard")


def main_cf(sinks: dict[str, Sink]) -> dict[str, str]:
    """Each case has a domain, which goes to a service and a sink of its own."""
    routes = ", ".join(f"{name}.example=case-{name}:[127.0.0.1]:{sink.port}" for name, sink in sinks.items())
    return {**COMMON, "transport_maps": f"inline:{{{routes}}}"}


def services(folder: Path) -> str:
    rows = []
    for name, (more, _, program) in CASES.items():
        rows.append(f"case-{name} unix - - n - - {program}\n")
        rows += [f"  -o {key}={value.replace('@D@', str(folder))}\n" for key, value in more.items()]
    return "".join(rows)


@contextmanager
def postfix(folder: Path, sinks: dict[str, Sink]) -> Iterator[tuple[int, Callable[[], str]]]:
    need_root("Postfix")
    require("postfix")
    for name in ("etc", "q", "d"):
        (folder / name).mkdir(parents=True)
    subprocess.run(["chown", "postfix", str(folder / "d")], check=True)
    port, log = free_port(), folder / "log"
    own = {
        "queue_directory": f"{folder}/q", "data_directory": f"{folder}/d", "maillog_file": str(log),
        "maillog_file_prefixes": "/var, /tmp",
        "proxy_write_maps": "".join(f"proxy:btree:{folder}/d/{name} " for name in ("cache", "cache2", "cache3")),
    }  # fmt: skip
    (folder / "etc/master.cf").write_text(MASTER.format(port=port) + services(folder / "d"))
    lines = (f"{name} = {value}\n" for name, value in {**main_cf(sinks), **own}.items())
    (folder / "etc/main.cf").write_text("".join(lines))
    with postfix_started(folder / "etc", port):
        yield port, lambda: log.read_text() if log.exists() else ""


@contextmanager
def tayori(folder: Path, sinks: dict[str, Sink]) -> Iterator[tuple[int, Callable[[], str]]]:
    master = "127.0.0.1:{port} inet n - n - - smtpd\n" + services(folder)
    with Server(folder, main_cf(sinks), master) as server:
        yield server.port, server.log


def send(port: int, names: Iterable[str], log: Callable[[], str]) -> dict[str, str]:
    """One mail to each; "status dsn (words)" of its delivery."""
    mark = f"{time.monotonic_ns()}"
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        for name in names:
            client.sendmail("me@example.com", [f"u{mark}@{name}.example"], "Subject: x\r\n\r\nx\r\n")
    found = {}
    deadline = time.monotonic() + 30
    for name in names:
        line = re.compile(rf"to=<u{mark}@{name}\.example>.*?, dsn=(\S+), status=(\w+) (\(.*)")
        while (match := line.search(log())) is None:
            assert time.monotonic() < deadline, (name, log()[-3000:])
            time.sleep(0.05)
        words = re.sub(r"\d+\.\d+\.\d+\.\d+(\[[\d.]+\])?(:\d+)?", "HOST", match[3])
        words = re.sub("queued as S[0-9]+", "queued", words).replace(mark, "").replace("?535", " 535")  # a line end
        found[name] = f"{match[2]} {match[1]} {words}"
    return found


Peer = Callable[[Path, dict[str, Sink]], AbstractContextManager[tuple[int, Callable[[], str]]]]


def tell(peer: Peer) -> dict[str, list[str]]:
    """For each case what the log says and the AUTH lines that the server heard, as often as it heard them."""
    with short_folder() as folder, ExitStack() as stack:
        sinks = {}
        for name, (_, answer, program) in CASES.items():
            answers, keywords = {"AUTH": answer} if answer else {}, ("ENHANCEDSTATUSCODES", "AUTH PLAIN")
            sinks[name] = stack.enter_context(Sink(answers=answers, keywords=keywords, lmtp=program == "lmtp"))
        port, log = stack.enter_context(peer(folder, sinks))
        heard = {name: [line] for name, line in send(port, CASES, log).items()}
        for name, line in send(port, TWICE, log).items():
            heard[name].append(line)
        for name, sink in sinks.items():
            lines = [text for _, text in sink.commands if text.startswith("AUTH")]
            # a bounce of a bounce may or may not be on its way already
            heard[name] += lines if name in TWICE and "hard" not in name else dict.fromkeys(lines)
        return heard


@pytest.mark.root
@pytest.mark.peer
def test_the_same_is_said_and_done() -> None:
    theirs, ours = tell(postfix), tell(tayori)
    assert theirs["cached"][1].startswith("deferred 4.7.8 (SASL [CACHED] authentication failed")
    assert len(theirs["cached"]) == 3, "one AUTH for two mails"
    assert len(theirs["cached-other-code"]) == 4, "530 is not remembered"
    assert ours == theirs
