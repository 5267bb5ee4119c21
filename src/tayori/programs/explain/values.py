"""What is asked of `explain`, and what it answers: plain values, which text and JSON are made of."""

from __future__ import annotations

import msgspec

from tayori.programs.history.record import Asked, Decision


class Question(msgspec.Struct, frozen=True):
    """A mail that somebody might send. `service` is a service name or port of master.cf, "" for the first smtpd.

    `name` "" lets the rules' needs decide whether DNS is asked. `content` is the message with CRLF line ends.
    """

    client: str
    sender: str
    recipients: tuple[str, ...]
    helo: str = "client.example"
    plain_helo: bool = False
    name: str = ""
    reverse_name: str = ""
    name_code: int = 0
    reverse_code: int = 0
    login: str = ""
    tls: bool = False
    service: str = ""
    port: int = 0
    content: bytes = b""


class Line(msgspec.Struct, frozen=True):
    """One command of the imagined session and the reply to it."""

    command: str
    reply: str


class Lookup(msgspec.Struct, frozen=True):
    """A look-up that found something (or failed: `failed`). `parameter` names the parameter that lists the table."""

    parameter: str
    table: str
    key: str
    value: str
    place: str = ""
    failed: bool = False


class Target(msgspec.Struct, frozen=True):
    """Where one recipient ends: `status` delivered, forwarded, deferred or bounced; `where` a mailbox or the text."""

    address: str
    status: str
    where: str
    enhanced: str = ""


class Route(msgspec.Struct, frozen=True):
    """One address after rewriting. `reason` and `place` say what chose the transport."""

    address: str
    original: str
    kind: str
    transport: str
    program: str
    nexthop: str
    reason: str = ""
    place: str = ""
    lookups: tuple[Lookup, ...] = ()
    targets: tuple[Target, ...] = ()
    trouble: str = ""


class Remedy(msgspec.Struct, frozen=True):
    """Something that would change the outcome, in words, and where it would be changed."""

    text: str
    place: str = ""


class Judged(msgspec.Struct, frozen=True):
    """A decision with everything that was asked, why it came out so, and what would change it."""

    decision: Decision
    asked: tuple[Asked, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    effects: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()


class Explanation(msgspec.Struct, frozen=True):
    """`service` and `place`: the line of master.cf. `accepted`: the mail was taken for one recipient or more."""

    question: Question
    service: str
    place: str
    client_name: str
    session: tuple[Line, ...]
    judged: tuple[Judged, ...]
    accepted: bool
    login: str = ""
    sender: str = ""
    rewriting: tuple[Lookup, ...] = ()
    routes: tuple[Route, ...] = ()
    notes: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
