"""What all sessions of one master.cf smtpd service share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from tayori.net.tls import TlsContext
from tayori.policy.facts import ClientFacts, LoginFacts, TlsFacts
from tayori.policy.footer import Footer
from tayori.policy.policy import Policy
from tayori.policy.rates import Rates
from tayori.policy.verdict import Reason
from tayori.programs.daemons.smtpd.options import SmtpdOptions
from tayori.programs.daemons.smtpd.values import Transaction
from tayori.programs.history.history import NoHistory
from tayori.programs.maillog import MailLog
from tayori.protocol.reply import Reply
from tayori.queue.spool import Spool
from tayori.rewrite.clients import HeaderRewriteClients
from tayori.sasl.authenticator import Authenticator
from tayori.tables.maps import Maps
from tayori.tables.matchlist import MatchList


class Envelope(msgspec.Struct, frozen=True):
    """A finished transaction on its way to the queue: who sent it, how, and the content (LF line ends), or the
    `spool` that has it."""

    transaction: Transaction
    client: ClientFacts
    helo: str
    protocol: str
    tls: TlsFacts | None
    login: LoginFacts | None
    options: SmtpdOptions
    content: bytes
    trusted: bool = False
    started: float = 0.0
    spool: Spool | None = None


class Explained(Reply, frozen=True):
    """A reply that knows what decided it."""

    reason: Reason | None = None


class Intake(Protocol):
    """The worker, as a session sees it. Messages of more than `in_memory` bytes go to a `spool`."""

    log: MailLog
    history: NoHistory
    in_memory: int

    def next_number(self) -> int:
        """A queue number for a transaction's first recipient. Raises QueueBroken."""
        ...

    def room(self, size: int) -> bool:
        """Whether the queue's disk has room."""
        ...

    def spool(self, number: int) -> Spool:
        """Where a large message goes while it comes in."""
        ...

    async def flush_site(self, site: str) -> bool:
        """ETRN: try now what waits for a site; False when it is not ours to flush."""
        ...

    def tell_postmaster(self, peer: str, said: str, bounced: bool) -> None:
        """Send the postmaster what was said in a session, in the background."""
        ...

    async def receive(self, envelope: Envelope) -> Reply:
        """Clean, keep durably, start delivery: the reply to the end of DATA."""
        ...


@dataclass(frozen=True, slots=True)
class SmtpdService:
    """One listening service with its overrides applied."""

    options: SmtpdOptions
    policy: Policy
    authenticator: Authenticator | None
    tls: TlsContext | None
    rates: Rates
    xclient_hosts: MatchList | None
    bare_exempt: MatchList | None
    auth_exempt: MatchList | None
    event_exempt: MatchList | None
    client_names: Callable[[str], Awaitable[tuple[str, str, int, int]]]
    trusted: HeaderRewriteClients
    footer: Footer | None
    intake: Intake
    forbidden: MatchList | None = None
    command_filter: Maps | None = None
    ehlo_keywords: Maps | None = None
    greetings: dict[tuple[bool, tuple[str, ...], bool, frozenset[str]], Reply] = field(default_factory=dict)
    """Replies to EHLO made so far: STARTTLS, mechanisms, XCLIENT, keywords left out."""
