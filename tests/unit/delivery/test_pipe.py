"""pipe(8): exit codes, texts, macros and flags as a real Postfix 3.7 logged or passed them."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from support.peers import need_root
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.pipe import Account, PipeAgent, dressed, pipe_agent
from tayori.delivery.pipe_command import PipeCommand, Request, expand
from tayori.queue.model import Attributes, Recipient

CONTENT = b"Subject: hello\n\nFrom here\n.dot\nbody\n"
ODD = Recipient(1, "We ird+Ext@PipeOk.example", "Orig@O.example")


def command(*args: str) -> PipeCommand:
    return PipeCommand.parse(("user=nobody", *args), Origin("master.cf", 3))


def agent(*args: str, limit: int = 10, **settings: str) -> PipeAgent:
    made = Settings.of({"queue_directory": "/tmp", "recipient_delimiter": "+", **settings})
    return PipeAgent(made, "mypipe", command(*args), Account(os.geteuid(), os.getegid(), change=False), limit)


def run(
    *args: str, recipients: tuple[Recipient, ...] = (Recipient(1, "u@b.example"),), limit: int = 10
) -> DeliveryOutcome:
    return asyncio.run(agent(*args, limit=limit).deliver("nh", "me@a.example", CONTENT, recipients))[1]


@pytest.mark.parametrize(
    ("code", "enhanced", "kind", "text"),
    [
        (64, "5.3.0", BouncedDelivery, "command line usage error. Command output: some words  here "),
        (67, "5.1.1", BouncedDelivery, "user unknown. Command output: some words  here "),
        (71, "4.3.0", DeferredDelivery, "system resource problem. Command output: some words  here "),
        (75, "4.3.0", DeferredDelivery, "temporary failure. Command output: some words  here "),
        (77, "5.7.0", BouncedDelivery, "permission denied. Command output: some words  here "),
        (78, "5.3.5", BouncedDelivery, "local configuration error. Command output: some words  here "),
        (1, "5.3.0", BouncedDelivery, 'Command died with status 1: "/bin/sh". Command output: some words  here '),
        (99, "5.3.0", BouncedDelivery, 'Command died with status 99: "/bin/sh". Command output: some words  here '),
        (0, "2.0.0", Delivered, "delivered via mypipe service (some words  here)"),
    ],
)
def test_exit_codes(code: int, enhanced: str, kind: type[DeliveryOutcome], text: str) -> None:
    got = run("argv=/bin/sh", "-c", f"cat >/dev/null; echo 'some words  here'; exit {code}")
    assert (type(got), got.enhanced, got.text, got.relay) == (kind, enhanced, text, "mypipe")


def test_own_code_decides() -> None:
    got = run("argv=/bin/sh", "-c", "echo '5.7.9 own code'; exit 75")
    assert (type(got), got.enhanced, got.text) == (BouncedDelivery, "5.7.9", "own code ")
    assert isinstance(run("argv=/bin/sh", "-c", "echo 4.2.2 full; exit 1"), DeferredDelivery)
    assert isinstance(run("argv=/bin/sh", "-c", "echo 5.2.2 ignored on success; exit 0"), Delivered)


def test_signal_missing_program_and_time_limit() -> None:
    got = run("argv=/bin/sh", "-c", "kill -9 $$$$")
    assert (type(got), got.enhanced, got.text) == (DeferredDelivery, "4.3.0", 'Command died with signal 9: "/bin/sh"')
    got = run("argv=/nonexistent/prog")
    assert isinstance(got, DeferredDelivery) and "No such file or directory" in got.text
    got = run("argv=/bin/sleep", "20", limit=1)
    assert (type(got), got.enhanced, got.text) == (
        BouncedDelivery,
        "5.3.0",
        'Command time limit exceeded: "/bin/sleep"',
    )


def test_size_limit_and_loop() -> None:
    got = run("size=10", "argv=/bin/cat")
    assert (got.enhanced, got.text) == ("5.2.3", "message too large")
    looped = agent("flags=D", "argv=/bin/false")
    content = b"Delivered-To: U@b.example\n\nx\n"
    got = asyncio.run(looped.deliver("nh", "me@a", content, (Recipient(1, "u@b.example"),)))[1]
    assert (type(got), got.enhanced, got.text) == (BouncedDelivery, "5.4.6", "mail forwarding loop for u@b.example")


def test_the_command_gets_message_and_clean_environment(tmp_path: Path) -> None:
    os.environ["TAYORI_SECRET"] = "x"
    out = tmp_path / "out"
    assert isinstance(run("argv=/bin/sh", "-c", f"(env; cat) >{out}"), Delivered)
    text = out.read_bytes()
    assert text.endswith(CONTENT) and b"TAYORI_SECRET" not in text and b"PATH=/usr/bin:/bin\n" in text
    del os.environ["TAYORI_SECRET"]


def test_a_command_that_reads_nothing_or_says_much_does_not_hang() -> None:
    big = b"x" * 2_000_000 + b"\n"
    got = asyncio.run(agent("argv=/bin/true").deliver("", "a@b", big, (Recipient(1, "u@b"),)))[1]
    assert isinstance(got, Delivered)
    got = run("argv=/bin/sh", "-c", "head -c 300000 /dev/zero | tr '\\0' y; exit 69")
    assert isinstance(got, BouncedDelivery) and len(got.text) < 2200
    assert isinstance(run("argv=/bin/sh", "-c", "sleep 20 & exit 0", limit=5), Delivered)


def test_macros_as_postfix_passes_them() -> None:
    argv = "argv=x ${client_address} ${client_helo} ${client_hostname} $client_port $(client_protocol) d=${domain} e=${extension} m=${mailbox} n=$nexthop o=${original_recipient} q=$queue_id r=$recipient s=$sender z=$size u=$user $$"
    made = command("flags=hqu", *argv.split(" "))
    attributes = Attributes(
        client_address="127.0.0.1", helo="h", client_name="localhost", client_port=45466, protocol="ESMTP"
    )
    request = Request("NH", "me@a.example", (ODD,), attributes, 362, "ABC", "+")
    assert " ".join(expand(made, request)) == (
        "x 127.0.0.1 h localhost 45466 ESMTP d=pipeok.example e=ext m=we ird+ext n=nh o=orig@o.example q=ABC"
        ' r="we ird+ext"@pipeok.example s=me@a.example z=362 u=we ird $'
    )


def test_recipient_arguments_are_repeated() -> None:
    made = command("argv=x", "-f", "$sender", "--", "$recipient")
    two = (Recipient(1, "a@b"), Recipient(2, "c@d"))
    assert expand(made, Request("", "", two, Attributes(), 0)) == ["x", "-f", "MAILER-DAEMON", "--", "a@b", "c@d"]
    empty = command("null_sender=", "argv=x", "$sender")
    assert expand(empty, Request("", "", two, Attributes(), 0)) == ["x", ""]


def test_arguments_are_never_shell_text() -> None:
    made = command("argv=/bin/echo", "$recipient")
    evil = (Recipient(1, "$(touch /tmp/x);`id`@b"),)
    assert expand(made, Request("", "a", evil, Attributes(), 0))[1] == "$(touch /tmp/x);`id`@b"


def test_addresses_in_utf8_reach_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    pipe = agent(
        "flags=DRhu",
        "argv=/bin/sh",
        "-c",
        f'(printf "%s|" "$$0" "$$@"; cat) >{out}',
        "$recipient",
        "$user",
        "$domain",
    )
    asyncio.run(pipe.deliver("", "gärtner@b.example", CONTENT, (Recipient(1, "JÜRGEN@Bücher.example"),)))
    text = out.read_text("utf-8")
    assert text.startswith("jürgen@bücher.example|jürgen|bücher.example|")
    assert "Return-Path: <gärtner@b.example>\n" in text and "Delivered-To: JÜRGEN@Bücher.example\n" in text


def test_flags_dress_the_message() -> None:
    request = Request("nh", "me@a.example", (ODD,), Attributes(), 0)
    got = b"".join(dressed(command("flags=BDFORq>.", "argv=x"), request, CONTENT, 0)).split(b"\n")
    assert got[0].startswith(b"From me@a.example  Thu Jan  1 ")
    assert got[1:4] == [
        b"Return-Path: <me@a.example>",
        b"X-Original-To: Orig@O.example",
        b'Delivered-To: "We ird+Ext"@PipeOk.example',
    ]
    assert got[4:] == [b"Subject: hello", b"", b">From here", b"..dot", b"body", b"", b""]
    assert b"".join(dressed(command("eol=\\r\\n", "argv=x"), request, b"a\nb\n", 0)) == b"a\r\nb\r\n"
    assert b"".join(dressed(command("argv=x"), request, CONTENT, 0)) == CONTENT


def test_d_flag_runs_once_per_recipient(tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = agent("flags=D", "argv=/bin/sh", "-c", f"grep Delivered-To >>{out}")
    asyncio.run(made.deliver("", "a@b", CONTENT, (Recipient(1, "x@b"), Recipient(2, "y@b"))))
    assert out.read_text() == "Delivered-To: x@b\nDelivered-To: y@b\n"


@pytest.mark.parametrize(
    "args",
    [
        ("user=nobody",),
        ("argv=/bin/cat",),
        ("user=nobody", "argv="),
        ("user=nobody", "flags=Z", "argv=x"),
        ("user=nobody", "colour=red", "argv=x"),
        ("user=nobody", "size=much", "argv=x"),
        ("user=nobody", "argv=x", "$nosuch"),
        ("user=no-such-user-here", "argv=x"),
        ("user=nobody:no-such-group", "argv=x"),
        ("user=root", "argv=x"),
        ("user=nobody", "chroot=/x", "argv=x"),
    ],
)
def test_bad_lines_name_their_place(args: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"^master\.cf:3: pipe: "):
        pipe_agent(Settings.of({}), "p", args, Origin("master.cf", 3))


def test_root_runs_it_as_the_named_user(tmp_path: Path) -> None:
    need_root("changes to another user")
    made = pipe_agent(
        Settings.of({"queue_directory": "/tmp"}), "p", ("user=nobody", "argv=/bin/sh", "-c", "id -u; id -G")
    )
    got = asyncio.run(made.deliver("", "a@b", CONTENT, (Recipient(1, "x@b"),)))[1]
    user = pwd.getpwnam("nobody")
    assert got.text == f"delivered via p service ({user.pw_uid} {user.pw_gid})"
