"""The SMTP server's commands and states as literals (RFC 5321 4.1, 4.1.4; smtpd(8)).

A new command is a row here and a handler in the session; nothing else changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tayori.protocol.reply import Reply


@dataclass(frozen=True, slots=True)
class Row:
    """`last`: must end a pipelined group (RFC 2920 3.1). `clear`: allowed before TLS where TLS is demanded.

    `junk`: counts against smtpd_junk_command_limit. `enabled_by`: the session flag without which the
    command is "not implemented". `idle`: not allowed inside a mail transaction.
    """

    verb: str
    last: bool = False
    clear: bool = False
    junk: bool = False
    idle: bool = False


COMMANDS: dict[str, Row] = {
    row.verb: row
    for row in (
        Row("HELO", last=True),
        Row("EHLO", last=True, clear=True),
        Row("STARTTLS", last=True, clear=True),
        Row("AUTH", last=True),
        Row("MAIL"),
        Row("RCPT"),
        Row("DATA", last=True),
        Row("BDAT"),
        Row("RSET", junk=True),
        Row("NOOP", last=True, clear=True, junk=True),
        Row("VRFY", last=True, junk=True),
        Row("ETRN", last=True, junk=True, idle=True),
        Row("HELP", clear=True),
        Row("QUIT", last=True, clear=True),
        Row("XCLIENT", last=True, idle=True),
    )
}

UNKNOWN = Reply(500, "5.5.2", "Error: command not recognized")
BAD_SYNTAX = Reply(500, "5.5.2", "Error: bad syntax")
BAD_UTF8 = Reply(500, "5.5.2", "Error: bad UTF-8 syntax")
DSN_DISABLED = Reply(501, "5.7.1", "DSN support is disabled")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Error: command not implemented")
ETRN_IN_TRANSACTION = Reply(503, "", "Error: MAIL transaction in progress")
IN_TRANSACTION = Reply(503, "5.5.1", "Error: MAIL transaction in progress")
SEND_HELO = Reply(503, "5.5.1", "Error: send HELO/EHLO first")
NESTED_MAIL = Reply(503, "5.5.1", "Error: nested MAIL command")
NEED_MAIL = Reply(503, "5.5.1", "Error: need MAIL command")
NEED_RCPT = Reply(503, "5.5.1", "Error: need RCPT command")
NO_VALID_RECIPIENTS = Reply(554, "5.5.1", "Error: no valid recipients")
MUST_STARTTLS = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
MAIL_SYNTAX = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address>")
RCPT_SYNTAX = Reply(501, "5.5.4", "Syntax: RCPT TO:<address>")
DATA_SYNTAX = Reply(501, "5.5.4", "Syntax: DATA")
RSET_SYNTAX = Reply(501, "5.5.4", "Syntax: RSET")
VRFY_SYNTAX = Reply(501, "5.5.4", "Syntax: VRFY address [SMTPUTF8]")
STARTTLS_SYNTAX = Reply(501, "5.5.4", "Syntax: STARTTLS")
BAD_SENDER = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT = Reply(501, "5.1.3", "Bad recipient address syntax")
MUST_DECLARE = Reply(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")
BAD_ETRN = Reply(501, "", "Error: invalid parameter syntax")
BAD_SIZE = Reply(501, "5.5.4", "Bad message size syntax")
TOO_LARGE = Reply(552, "5.3.4", "Message size exceeds fixed limit")
BODY_TOO_LARGE = Reply(552, "5.3.4", "Error: message file too big")
NO_SPACE = Reply(452, "4.3.1", "Insufficient system storage")
QUEUE_ERROR = Reply(451, "4.3.0", "Error: queue file write error")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Error: too many recipients")
GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
BYE = Reply(221, "2.0.0", "Bye")
OK = Reply(250, "2.0.0", "Ok")
MAIL_OK = Reply(250, "2.1.0", "Ok")
RCPT_OK = Reply(250, "2.1.5", "Ok")
FORBIDDEN = Reply(221, "2.7.0", "Error: I can break rules, too. Goodbye.")
PIPELINING_BROKEN = Reply(554, "5.5.0", "Error: SMTP protocol synchronization")
DATA_AFTER_BDAT = Reply(503, "5.5.1", "Error: DATA after BDAT")
MAIL_AFTER_BDAT = Reply(503, "5.5.1", "Error: MAIL after BDAT")
RCPT_AFTER_BDAT = Reply(503, "5.5.1", "Error: RCPT after BDAT")
NO_CHUNKING = Reply(521, "5.5.1", "Error: command not implemented")
BDAT_SYNTAX = Reply(521, "5.5.4", "Syntax: BDAT count [LAST]")
"""521 ends the session: what follows would be content, and must not be taken for commands."""
NULL_CHUNK = Reply(551, "5.7.1", "Null BDAT request")
CHUNK_TOO_LARGE = Reply(552, "5.3.4", "Chunk exceeds message size limit")
TLS_READY = Reply(220, "2.0.0", "Ready to start TLS")
TLS_TROUBLE = Reply(454, "4.7.0", "TLS not available due to local problem")
NO_AUTH = Reply(503, "5.5.1", "Error: authentication not enabled")
DISCARDED = {"STARTTLS": NOT_IMPLEMENTED, "AUTH": NO_AUTH}
"""The commands that go with their EHLO keyword (smtpd_discard_ehlo_keywords); others are obeyed, as in Postfix."""
TLS_ACTIVE = Reply(554, "5.5.1", "Error: TLS already active")
HELP = Reply(214, "2.0.0", "Commands: " + " ".join(sorted(COMMANDS)) + "\nRFC 5321 says how to use them")

_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_BLANK = re.compile(rb"[\t\r\v\f]")
_UNTOLD = str.maketrans(dict.fromkeys('"();<>@\\', "?"))
_VERBS = {spelling.encode(): verb for verb in COMMANDS for spelling in (verb, verb.lower())}
"""The usual spellings, to spare the decoding."""


def chunk_taken(size: int) -> Reply:
    """A chunk of `size` bytes that is not the last."""
    return Reply(250, "2.0.0", f"Ok: {size} bytes")


def chunk_dropped(size: int) -> Reply:
    """A chunk of `size` bytes after one that was refused."""
    return Reply(551, "5.0.0", f"Discarded {size} bytes after earlier error")


def split_command(line: bytes) -> tuple[str, bytes]:
    """(verb in capitals, the rest of the line); ("", b"") for an empty line. Undecodable verbs match no row."""
    head, _, rest = line.strip(b" \t\r\n\v\f").partition(b" ")
    verb = _VERBS.get(head)
    if verb is not None:
        return verb, rest.strip(b" \t")
    parted = _BLANK.search(head)
    if parted is not None:
        head, rest = head[: parted.start()], head[parted.end() :] + b" " + rest
        verb = _VERBS.get(head)
        if verb is not None:
            return verb, rest.strip(b" \t")
    return head.decode("ascii", "replace").upper(), rest.strip(b" \t")


def is_header(line: bytes) -> bool:
    """Whether a line looks like a header field: printable ASCII up to a colon, as RFC 5322 2.2 has it."""
    return _HEADER.match(line) is not None


def is_utf8(raw: bytes) -> bool:
    """Whether bytes are well-formed UTF-8 (RFC 3629)."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def blanked(reply: bytes) -> bytes:
    """A reply for a client that may not know UTF-8: blanks for what is no ASCII."""
    return bytes(byte if byte < 128 else 32 for byte in reply)


def helo_name(raw: bytes) -> str:
    """A HELO name as logs, headers and tables see it: what could pass for their own syntax becomes `?`, as in
    Postfix."""
    return printable(raw).translate(_UNTOLD)


def printable(raw: bytes) -> str:
    """Text for logs and headers: anything that is not printable ASCII or valid UTF-8 becomes `?`."""
    text = raw.decode("utf-8", "replace")
    if text.isprintable() and "\ufffd" not in text:
        return text
    return "".join(c if c.isprintable() and c != "�" else "?" for c in text)
