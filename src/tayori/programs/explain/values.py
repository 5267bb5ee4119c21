"""What is asked of `explain`, and what it answers: plain values, which text and JSON are made of."""

from __future__ import annotations

import msgspec

from tayori.programs.history.record import Asked, Decision


class Question(msgspec.Struct, frozen=True):
    """A mail that somebody might send. `service` is a service name or port of master.cf, "" for the first smtpd.

    `helo` "" is a client that does not greet. `name` "" lets the rules' needs decide whether DNS is asked. `content`
    is the message with CRLF line ends. `dns`: whether the hosts of the next hop are looked up.
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
    method: str = "PLAIN"
    tls: bool = False
    service: str = ""
    port: int = 0
    content: bytes = b""
    dns: bool = True


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
    """Where one recipient ends: `status` delivered, discarded, forwarded, deferred or bounced; `where` a mailbox, a
    file, a `|command`, or the text. "read": the .forward file or list `where` says more.

    `owner`: whose rights the mailbox is written with, `taro (1000:1000)`; "" where nothing is written. `sender`: who
    sends a forwarded copy on, where an owner- alias makes it another than the mail's sender.
    """

    address: str
    status: str
    where: str
    enhanced: str = ""
    owner: str = ""
    sender: str | None = None


class Host(msgspec.Struct, frozen=True):
    """One host of a destination. `preference`: of its MX record, None without one. `address`: an IP address or a
    socket's path; "" when it would not be tried, with `trouble` saying why where DNS is the cause."""

    name: str
    address: str
    port: int
    preference: int | None = None
    trouble: str = ""


class Destination(msgspec.Struct, frozen=True):
    """A next hop with its hosts in the order of trial. `found`: mx, no mx (so by address), address (`[host]` or
    disable_dns_lookups), literal, socket. `status`: bounced or deferred, with the text, when there is no host."""

    destination: str
    found: str
    hosts: tuple[Host, ...] = ()
    status: str = ""
    trouble: str = ""
    enhanced: str = ""


class Changed(msgspec.Struct, frozen=True):
    """A header field as the client sent it and as it goes on; `before` or `after` is "" for one added or removed."""

    before: str
    after: str


class Content(msgspec.Struct, frozen=True):
    """What becomes of the content of `--message`. `size` and `limit` (message_size_limit, 0 none) in bytes;
    `checks`: the patterns that fitted; `hold`, `discard`, `filter`: what they decided; `reply`: at the end."""

    size: int
    limit: int
    reply: str
    checks: tuple[Lookup, ...] = ()
    changes: tuple[Changed, ...] = ()
    body_changed: bool = False
    hold: str = ""
    discard: bool = False
    filter: str = ""


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
    destinations: tuple[Destination, ...] = ()


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
    content: Content | None = None
