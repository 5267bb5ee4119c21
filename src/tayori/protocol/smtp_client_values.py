"""The client machine's vocabulary: where it stands, what it is asked to send, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tayori.protocol.smtp_client_replies import ServerReply


class Stage(Enum):
    """What the client waits for. The values are Postfix's words: "lost connection with … while <value>"."""

    GREETING = "receiving the initial server greeting"
    EHLO = "performing the EHLO handshake"
    HELO = "performing the HELO handshake"
    LHLO = "performing the LHLO handshake"
    STARTTLS = "performing the STARTTLS handshake"
    AUTH = "performing SASL authentication"
    IDLE = "waiting between messages"
    MAIL = "sending MAIL FROM"
    RCPT = "sending RCPT TO"
    DATA = "sending DATA command"
    BODY = "sending message body"
    DOT = "sending end of data -- message may be sent more than once"
    RSET = "sending RSET"
    QUIT = "sending QUIT"
    CLOSED = "the connection is closed"


# "… said: 550 … (in reply to <value>)"
COMMAND_NAMES: dict[Stage, str] = {
    Stage.STARTTLS: "STARTTLS command",
    Stage.AUTH: "AUTH command",
    Stage.MAIL: "MAIL FROM command",
    Stage.RCPT: "RCPT TO command",
    Stage.DATA: "DATA command",
    Stage.DOT: "end of DATA command",
    Stage.RSET: "RSET command",
    Stage.EHLO: "EHLO command",
    Stage.HELO: "HELO command",
    Stage.LHLO: "LHLO command",
}


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """`discard` holds upper-case EHLO keywords to ignore (smtp_discard_ehlo_keywords). `ehlo`: whether EHLO is sent
    at all; `ehlo_unasked`: even when the greeting does not say ESMTP (smtp_always_send_ehlo)."""

    helo_name: str
    lmtp: bool = False
    ehlo: bool = True
    ehlo_unasked: bool = True
    discard: frozenset[str] = frozenset()
    line_limit: int = 998


@dataclass(frozen=True, slots=True)
class ClientRecipient:
    """`address` in external form (quoted, without <>); `notify` and `orcpt` as in RFC 3461, "" for none."""

    address: str
    notify: str = ""
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One transaction. `size` is bytes on the wire or an estimate; `body` is "", "7BIT" or "8BITMIME".

    `probe`: only ask about the recipients; no DATA is sent, and Answered comes for a good RCPT reply too.
    """

    sender: str
    recipients: tuple[ClientRecipient, ...]
    size: int = 0
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The handshake is done: `capabilities` by upper-case keyword (empty after HELO); `name` is the server's own."""

    capabilities: dict[str, str]
    name: str = ""


@dataclass(frozen=True, slots=True)
class RefusedSession:
    """The server does not want to talk: greeting or handshake reply."""

    reply: ServerReply
    stage: Stage


@dataclass(frozen=True, slots=True)
class StartTls:
    """220 to STARTTLS: do the handshake now, then call `secured`."""


@dataclass(frozen=True, slots=True)
class TlsRefused:
    """STARTTLS was not accepted; the session goes on in the clear if the caller likes."""

    reply: ServerReply


@dataclass(frozen=True, slots=True)
class Challenged:
    """334: `data` is the decoded challenge. Answer with `respond`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """235: logged in."""

    reply: ServerReply


@dataclass(frozen=True, slots=True)
class AuthRefused:
    """Any other answer to AUTH."""

    reply: ServerReply


@dataclass(frozen=True, slots=True)
class SendContent:
    """354: call `content` (once, or several times with `last` at the end)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The final answer for recipient number `index` of the envelope; `stage` tells which command it answers."""

    index: int
    reply: ServerReply
    stage: Stage


@dataclass(frozen=True, slots=True)
class Done:
    """The transaction has ended and every recipient is answered. The session may take another."""


@dataclass(frozen=True, slots=True)
class WasReset:
    """RSET was answered; not `ok` means: do not use the session again."""

    ok: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The session is over: end of input, 421, or no SMTP (`broken` then says what came).

    Recipients that were not answered must be tried again.
    """

    stage: Stage
    reply: ServerReply | None = None
    broken: str = ""


Event = (
    Ready
    | RefusedSession
    | StartTls
    | TlsRefused
    | Challenged
    | Authenticated
    | AuthRefused
    | SendContent
    | Answered
    | Done
    | WasReset
    | Lost
)
