"""sendmail: hand mail in, as Postfix's sendmail(1).

    sendmail [-t] [-i] [-f SENDER] [-F NAME] [-B 7BIT|8BITMIME] [-N DSN] [-R hdrs|full] [-V ENVID] [-C DIR]
             [--] [RCPT …]
    sendmail -bs | -bp | -bi | -bv RCPT … | -q | -qI ID | -qR SITE

The message comes from standard input until its end, or a line with only "." unless -i. It goes to the running server
by its Unix socket; when that is down it is left in the write-only maildrop, which the server takes up at its start.
Exit status 0 says: one or the other has it on stable storage. Otherwise sysexits: 64 usage, 65 bad data, 69 refused,
75 try again. `-f '<>'` or `-f ''` is the null sender; it travels as "<>", and "" means: the server completes it.
"""

from __future__ import annotations

import getopt
import os
import pwd
import re
import sys
from dataclasses import dataclass, field
from typing import BinaryIO

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.commands.control import (  # fmt: skip
    EX_CONFIG,
    EX_DATAERR,
    EX_OK,
    EX_UNAVAILABLE,
    EX_USAGE,
    Failed,
    ServerDown,
    ask,
    complain,
    configuration,
    connect,
)

OPTIONS = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx"
MODES = ("m", "p", "i", "v", "s", "d", "l")


@dataclass(slots=True)
class Call:
    """What the command line asks for. `sender` is None when no -f or -r was given."""

    mode: str = "m"
    config: str = ""
    sender: str | None = None
    full_name: str = ""
    extract: bool = False
    ignore_dots: bool = False
    body: str = ""
    smtputf8: bool = False
    notify: str = ""
    ret: str = ""
    envid: str = ""
    trace: bool = False
    flush: tuple[str, str] | None = None
    recipients: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int:
    """Run sendmail with these arguments (without the program's name)."""
    try:
        return _run(parse(argv))
    except getopt.GetoptError as error:
        complain("sendmail", f"{error.msg}\nusage: sendmail [options] [recipient ...]")
        return EX_USAGE
    except ConfigError as error:
        complain("sendmail", f"fatal: {error}")
        return EX_CONFIG
    except Failed as error:
        complain("sendmail", f"fatal: {error}")
        return error.code


def parse(argv: list[str]) -> Call:
    """The command line as a Call. Raises GetoptError, Failed."""
    call = Call()
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "-":
        if argv[at] == "-q":
            call.flush = ("", "")
            at += 1
            continue
        if argv[at] == "--":
            at += 1
            break
        rest = argv[at:]
        # getopt gives back what it did not use, which shows where the next word begins.
        options, left = getopt.getopt(_one_word(rest), OPTIONS)
        for option, value in options:
            _option(call, option, value)
        used = len(_one_word(rest)) - len(left)
        at += used
        if rest[0][:2] == "-o" and _takes_word(options) and at < len(argv):
            at += 1
    call.recipients = argv[at:]
    if call.extract and call.mode == "v":
        raise Failed("-t option cannot be used with -bv", EX_USAGE)
    if call.extract and call.mode != "m":
        raise Failed("-t can be used only in delivery mode", EX_USAGE)
    return call


def _one_word(rest: list[str]) -> list[str]:
    """The next option word, with the word after it where the last letter of the cluster wants a value there."""
    word = rest[0]
    for index, letter in enumerate(word[1:], 1):
        if OPTIONS[OPTIONS.find(letter) + 1 : OPTIONS.find(letter) + 2] == ":":
            return rest[:2] if index == len(word) - 1 else rest[:1]
    return rest[:1]


def _takes_word(options: list[tuple[str, str]]) -> bool:
    """`-o x value`: an unknown single letter after -o has its value in the next word."""
    option, value = options[-1]
    return option == "-o" and len(value) == 1 and value not in "78eim"


def _option(call: Call, option: str, value: str) -> None:
    """One option. Raises Failed."""
    match option:
        case "-t":
            call.extract = True
        case "-i":
            call.ignore_dots = True
        case "-o":
            call.ignore_dots |= value == "i"
        case "-f" | "-r":
            call.sender = value.strip()
            if call.sender.startswith("<") and call.sender.endswith(">"):
                call.sender = call.sender[1:-1]
        case "-F":
            call.full_name = value
        case "-C":
            call.config = value
        case "-v":
            call.trace = True
        case "-I":
            call.mode = "i"
        case "-b":
            if value not in MODES:
                raise Failed(f"unsupported: -b{value}", EX_USAGE)
            call.mode = value
        case "-q":
            _flush_option(call, value)
        case "-B" | "-N" | "-R" | "-V":
            _dsn_option(call, option, value)


def _flush_option(call: Call, value: str) -> None:
    if value[:1] in ("I", "R") and len(value) > 1:
        call.flush = (value[1:], "") if value[0] == "I" else ("", value[1:])
    elif not value[:1].isdigit():
        raise Failed(f"-q{value} is not implemented", EX_USAGE)


def _dsn_option(call: Call, option: str, value: str) -> None:
    """-B, -N, -R, -V; a wrong -N or -R is warned of and left out, as Postfix does. Raises Failed."""
    if option == "-B":
        call.body = value.upper()
        if call.body not in ("7BIT", "8BITMIME"):
            raise Failed("-B option needs 8BITMIME or 7BIT", EX_USAGE)
    elif option == "-N":
        words = [word.strip().upper() for word in value.split(",")]
        good = set(words) <= {"NEVER", "SUCCESS", "FAILURE", "DELAY"} and (len(words) == 1 or "NEVER" not in words)
        if good:
            call.notify = ",".join(words)
        else:
            complain("sendmail", "warning: bad -N option value -- ignored")
    elif option == "-R":
        if value.lower() in ("hdrs", "full"):
            call.ret = value.upper()
        else:
            complain("sendmail", "warning: bad -R option value -- ignored")
    else:
        call.envid = value


def _run(call: Call) -> int:
    """Do what the call says. Modes other than delivery load their own module only then."""
    if call.flush is not None:
        from tayori.programs.commands.postqueue import flush

        return flush(call.config, *call.flush)
    if call.mode == "p":
        if call.recipients:
            raise Failed("display queue mode requires no recipient", EX_USAGE)
        from tayori.programs.commands import mailq

        return mailq.main(["-C", call.config] if call.config else [])
    if call.mode == "i":
        from tayori.programs.commands import newaliases

        return newaliases.main(["-c", call.config] if call.config else [])
    if call.mode in ("d", "l"):
        raise Failed("start the server with: tayori start", EX_USAGE)
    settings = configuration(call.config)
    if call.mode == "s":
        from tayori.programs.commands import sendmail_smtp

        return sendmail_smtp.serve(settings, sys.stdin.buffer, sys.stdout.buffer)
    if not call.recipients and not call.extract:
        raise Failed("Recipient addresses must be specified on the command line or via the -t option", EX_USAGE)
    content = b"" if call.mode == "v" else read(sys.stdin.buffer, settings, call.ignore_dots)
    recipients = list(call.recipients)
    if call.extract:
        found, content = extract(content)
        recipients += found
        if not recipients:
            raise Failed("No recipient addresses found in message header", EX_USAGE)
    submit(settings, envelope(call, recipients), content)
    if call.mode == "v":
        print("Mail Delivery Status Report will be mailed to the sender.")
    return EX_OK


def envelope(call: Call, recipients: list[str]) -> dict[str, object]:
    """Frame 1 of a submission. Raises Failed for an address that is no UTF-8 (SMTPUTF8_README)."""
    for address in (call.sender or "", *recipients):
        try:
            address.encode("utf-8")
        except UnicodeEncodeError:
            shown = address.encode("utf-8", "replace").decode()
            raise Failed(f"the address {shown} is not UTF-8", EX_DATAERR) from None
    return {
        "op": "submit",
        "sender": "" if call.sender is None else call.sender or "<>",
        "full_name": call.full_name or os.environ.get("NAME") or _gecos(),
        "recipients": recipients,
        "extract": False,
        "body": call.body,
        "smtputf8": call.smtputf8,
        "notify": call.notify,
        "ret": call.ret,
        "envid": call.envid,
        "verify": call.mode == "v",
        "trace": call.trace,
    }


def _gecos() -> str:
    """The user's full name by passwd(5): up to the first comma, `&` for the login name."""
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return ""
    return entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())


def submit(settings: Settings, question: dict[str, object], content: bytes) -> str:
    """To the server, or into the maildrop when it is down; the queue id, if there is one. Raises Failed."""
    try:
        sock = connect(settings)
    except ServerDown:
        from tayori.programs.commands import maildrop

        maildrop.leave(settings, question, content)
        return ""
    with sock:
        answer = ask(sock, question, content)
    if answer.get("ok"):
        return str(answer.get("id") or "")
    code = answer.get("code")
    text = str(answer.get("error") or "the server refused the message")
    raise Failed(text, code if isinstance(code, int) and 0 < code < 256 else EX_UNAVAILABLE)


def read(source: BinaryIO, settings: Settings, ignore_dots: bool) -> bytes:
    """The message from standard input, with LF line ends (sendmail_fix_line_endings). Raises Failed.

    A leading mbox "From " line is dropped. More than message_size_limit is refused, and not held in memory.
    """
    limit = settings.number("message_size_limit")
    most = limit + limit // 8 + 65536 if limit else 1 << 31
    data = source.read(most)
    fix = settings.text("sendmail_fix_line_endings").lower()
    first = data.find(b"\n")
    if fix == "always" or (fix == "strict" and first > 0 and data[first - 1 : first] == b"\r"):
        data = data.replace(b"\r\n", b"\n")
    if not ignore_dots:
        end = re.search(rb"^\.(\n|\Z)", data, re.MULTILINE)
        if end:
            data = data[: end.start()]
    while data.startswith((b"From ", b">From ")) and b"\n" in data:
        data = data[data.index(b"\n") + 1 :]
    if data and not data.endswith(b"\n"):
        data += b"\n"
    if limit and len(data) > limit:
        raise Failed(f"message file too big: more than message_size_limit = {limit} bytes", EX_DATAERR)
    return data


_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:(.*(?:\n[ \t].*)*)\n?", re.MULTILINE)


def extract(content: bytes) -> tuple[list[str], bytes]:
    """-t: the recipients that the header names, and the message without Bcc.

    Resent-To, Resent-Cc and Resent-Bcc count instead of To, Cc and Bcc where there are any.
    """
    from email.utils import getaddresses

    end = 0
    fields: list[tuple[str, bytes]] = []
    kept = bytearray()
    while end < len(content):
        match = _FIELD.match(content, end)
        if match is None:
            break
        name = match.group(1).decode("ascii").lower()
        fields.append((name, match.group(2)))
        if name not in ("bcc", "resent-bcc"):
            kept += match.group(0)
        end = match.end()
    resent = any(name in ("resent-to", "resent-cc", "resent-bcc") for name, _ in fields)
    wanted = ("resent-to", "resent-cc", "resent-bcc") if resent else ("to", "cc", "bcc")
    values = [value.decode("utf-8", "surrogateescape").replace("\n", "") for name, value in fields if name in wanted]
    found = [address for _, address in getaddresses(values) if address]
    return list(dict.fromkeys(found)), bytes(kept) + content[end:]
