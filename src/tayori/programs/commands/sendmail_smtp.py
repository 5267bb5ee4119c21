"""sendmail -bs: SMTP on standard input and output; each message is handed in as sendmail does (RFC 5321).

For mail programs that start sendmail instead of opening a port. Who speaks is the user who started it; access rules
of the network do not apply (sendmail(1) -bs). Lines may end in LF or CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from tayori.config.settings import Settings
from tayori.programs.commands import sendmail
from tayori.programs.commands.control import EX_DATAERR, EX_OK, EX_TEMPFAIL, Failed
from tayori.protocol.smtp_commands import is_utf8

LINE = 8192
"""Bytes of the longest command line."""
ERRORS = 20
"""Bad commands after which the session ends."""

_PATH = re.compile(r'^\s*(?:FROM|TO)\s*:\s*<((?:"(?:[^"\\]|\\.)*"|[^">])*)>\s*(.*)$', re.IGNORECASE)
_PARAMETERS = {"SIZE", "BODY", "RET", "ENVID", "NOTIFY", "ORCPT", "SMTPUTF8"}


@dataclass(slots=True)
class _Session:
    """One dialogue; `sender` is None outside a transaction."""

    settings: Settings
    lines: BinaryIO
    out: BinaryIO
    name: str
    limit: int
    most: int
    sender: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    recipients: list[str] = field(default_factory=list)
    errors: int = 0
    over: bool = False

    def say(self, *texts: str) -> None:
        """A reply; the lines of a long one carry their "-" already."""
        self.out.write("".join(f"{text}\r\n" for text in texts).encode())
        self.out.flush()

    def bad(self, text: str) -> None:
        """A reply that counts as an error."""
        self.errors += 1
        self.say(text)

    def reset(self) -> None:
        self.sender, self.parameters, self.recipients = None, {}, []


def serve(settings: Settings, source: BinaryIO, out: BinaryIO) -> int:
    """Speak until QUIT or the end of input; the exit status."""
    session = _Session(
        settings, source, out, settings.text("myhostname"), settings.number("message_size_limit"),
        settings.number("smtpd_recipient_limit"),
    )  # fmt: skip
    session.say(f"220 {session.name} ESMTP {settings.text('mail_name')}")
    while not session.over and session.errors < ERRORS:
        line = source.readline(LINE)
        if not line:
            return EX_OK
        if not line.endswith(b"\n"):
            while (more := source.readline(LINE)) and not more.endswith(b"\n"):
                pass
            session.bad("500 5.5.2 Error: line too long")
            continue
        if not is_utf8(line):
            session.bad("500 5.5.2 Error: bad UTF-8 syntax")
            continue
        verb, _, argument = line.decode("utf-8").strip().partition(" ")
        command = _COMMANDS.get(verb.upper())
        if command is None:
            session.bad("500 5.5.2 Error: command not recognized")
        else:
            command(session, argument)
    if session.errors >= ERRORS:
        session.say("421 4.7.0 Error: too many errors")
    return EX_OK


def _hello(session: _Session, argument: str) -> None:
    session.reset()
    if not argument:
        session.bad("501 Syntax: HELO hostname")
    else:
        session.say(f"250 {session.name}")


def _ehlo(session: _Session, argument: str) -> None:
    session.reset()
    if not argument:
        session.bad("501 Syntax: EHLO hostname")
        return
    size = f"250-SIZE {session.limit}" if session.limit else "250-SIZE"
    names = ["250-PIPELINING", size, "250-ENHANCEDSTATUSCODES", "250-8BITMIME", "250-DSN"]
    if session.settings.flag("smtputf8_enable"):
        names.append("250-SMTPUTF8")
    session.say(f"250-{session.name}", *names[:-1], names[-1].replace("-", " ", 1))


def _mail(session: _Session, argument: str) -> None:
    match = _PATH.match(argument)
    if session.sender is not None:
        session.bad("503 5.5.1 Error: nested MAIL command")
    elif match is None or not argument.upper().startswith("FROM"):
        session.bad("501 5.5.4 Syntax: MAIL FROM:<address>")
    else:
        parameters = _parameters(session, match.group(2))
        if parameters is None:
            return
        size = parameters.get("SIZE", "0")
        if session.limit and size.isdigit() and int(size) > session.limit:
            session.say("552 5.3.4 Message size exceeds fixed limit")
            return
        session.sender, session.parameters = match.group(1), parameters
        session.say("250 2.1.0 Ok")


def _rcpt(session: _Session, argument: str) -> None:
    match = _PATH.match(argument)
    if session.sender is None:
        session.bad("503 5.5.1 Error: need MAIL command")
    elif match is None or not match.group(1) or not argument.upper().startswith("TO"):
        session.bad("501 5.5.4 Syntax: RCPT TO:<address>")
    elif len(session.recipients) >= session.most:
        session.bad("452 4.5.3 Error: too many recipients")
    else:
        parameters = _parameters(session, match.group(2))
        if parameters is not None:
            session.parameters.update({name: parameters[name] for name in ("NOTIFY",) if name in parameters})
            session.recipients.append(match.group(1))
            session.say("250 2.1.5 Ok")


def _parameters(session: _Session, text: str) -> dict[str, str] | None:
    """ESMTP parameters; None (and said so) for an unknown one."""
    found: dict[str, str] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if name.upper() not in _PARAMETERS or (
            name.upper() == "SMTPUTF8" and (value or not session.settings.flag("smtputf8_enable"))
        ):
            session.bad(f"555 5.5.4 Unsupported option: {name}")
            return None
        found[name.upper()] = value
    return found


def _data(session: _Session, argument: str) -> None:
    if argument:
        session.bad("501 5.5.4 Syntax: DATA")
        return
    if not session.recipients:
        session.bad("503 5.5.1 Error: need RCPT command" if session.sender is not None else
                    "503 5.5.1 Error: need MAIL command")  # fmt: skip
        return
    session.say("354 End data with <CR><LF>.<CR><LF>")
    content = _content(session)
    if content is None:
        session.over = True
        return
    if session.limit and len(content) > session.limit:
        session.say("552 5.3.4 Error: message file too big")
    else:
        _submit(session, content)
    session.reset()


def _content(session: _Session) -> bytes | None:
    """Lines up to the lone dot, dots unstuffed, LF ends; None when the input ended before. What is above the limit is
    read but not kept.
    """
    kept: list[bytes] = []
    size = 0
    while line := session.lines.readline():
        text = line.rstrip(b"\n").removesuffix(b"\r")
        if text == b".":
            return b"".join(kept)
        text = text[1:] if text.startswith(b".") else text
        size += len(text) + 1
        if not session.limit or size <= session.limit + LINE:
            kept.append(text + b"\n")
    return None


def _submit(session: _Session, content: bytes) -> None:
    """Hand it in and say what became of it."""
    parameters = session.parameters
    call = sendmail.Call(
        sender=session.sender, body=parameters.get("BODY", "").upper(), ret=parameters.get("RET", "").upper(),
        envid=parameters.get("ENVID", ""), notify=parameters.get("NOTIFY", "").upper(),
        smtputf8="SMTPUTF8" in parameters,
    )  # fmt: skip
    try:
        identifier = sendmail.submit(session.settings, sendmail.envelope(call, session.recipients), content)
    except Failed as error:
        code = {EX_TEMPFAIL: "451 4.3.0", EX_DATAERR: "554 5.6.0"}.get(error.code, "451 4.3.0")
        session.say(f"{code} Error: {str(error).splitlines()[0] if str(error) else 'refused'}")
        return
    session.say(f"250 2.0.0 Ok: queued as {identifier}" if identifier else "250 2.0.0 Ok: queued in the maildrop")


def _rset(session: _Session, argument: str) -> None:
    session.reset()
    session.say("250 2.0.0 Ok")


def _noop(session: _Session, argument: str) -> None:
    session.say("250 2.0.0 Ok")


def _verify(session: _Session, argument: str) -> None:
    session.say(f"252 2.0.0 {argument.strip()}" if argument else "501 5.5.4 Syntax: VRFY address")


def _help(session: _Session, argument: str) -> None:
    session.say(f"214 2.0.0 {' '.join(_COMMANDS)}")


def _quit(session: _Session, argument: str) -> None:
    session.over = True
    session.say("221 2.0.0 Bye")


_COMMANDS: dict[str, Callable[[_Session, str], None]] = {
    "EHLO": _ehlo, "HELO": _hello, "MAIL": _mail, "RCPT": _rcpt, "DATA": _data,
    "RSET": _rset, "NOOP": _noop, "VRFY": _verify, "HELP": _help, "QUIT": _quit,
}  # fmt: skip
