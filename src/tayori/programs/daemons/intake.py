"""The way into the queue: a message from a session, from sendmail or from inside, cleaned, kept, sent on its way."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec.structs import replace

from tayori.bounce.options import BounceOptions
from tayori.bounce.session_notice import session_notice
from tayori.config.settings import Settings
from tayori.policy.verdict import Reason
from tayori.programs.daemons.dispatch.dispatcher import Dispatcher
from tayori.programs.daemons.smtpd.service import Envelope, Explained
from tayori.programs.history.history import NoHistory
from tayori.programs.maillog import MailLog
from tayori.protocol import smtp_commands as say
from tayori.protocol.address import quote
from tayori.protocol.headers import header_end
from tayori.protocol.received import Trace, received, rfc5322_date
from tayori.protocol.reply import Reply
from tayori.queue.content import THRESHOLD, Content
from tayori.queue.engine import SqliteQueue
from tayori.queue.model import Attributes, Message, QueueBroken, QueueFull, Recipient, Stored
from tayori.queue.spool import Spool
from tayori.rewrite.cleanup import Cleanup, Incoming
from tayori.rewrite.results import Cleaned, Place, Rewritten
from tayori.tables.matchlist import MatchList


@dataclass(frozen=True, slots=True)
class Forced:
    """What access(5) actions ask beyond the content: HOLD, FILTER."""

    hold: bool = False
    filter: str = ""


NOTHING = Forced()
ORIGINS = frozenset(("sendmail", "smtpd", "forward", "bounce"))
"""The classes of smtputf8_autodetect_classes that messages here come from (verify: delivery.smtp)."""


class Intake:
    """One per worker; `dispatcher` is set once it stands."""

    dispatcher: Dispatcher
    in_memory = THRESHOLD

    def __init__(
        self,
        settings: Settings,
        queue: SqliteQueue,
        cleanup: Cleanup,
        log: MailLog,
        flushable: MatchList,
        history: NoHistory | None = None,
    ) -> None:
        self._flushable = flushable
        self.history = history or NoHistory()
        self.log = log
        self._queue = queue
        self._cleanup = cleanup
        self._hostname = settings.text("myhostname")
        self._mail_name = settings.text("mail_name")
        self._date = (0, "")
        self._detecting = _autodetected(settings)
        self._notices = BounceOptions.of(settings)
        self._telling: set[asyncio.Task[None]] = set()

    def next_number(self) -> int:
        """A queue number. Raises QueueBroken."""
        return self._queue.next_number()

    def room(self, size: int) -> bool:
        """Whether the queue's disk has room."""
        return self._queue.room(size)

    def spool(self, number: int) -> Spool:
        """Where a large message goes while it comes in."""
        return self._queue.spool(number)

    async def flush_site(self, site: str) -> bool:
        """ETRN: try now what waits for a site of fast_flush_domains; False for any other."""
        if not await self._flushable.match(site):
            return False
        await self._queue.call(lambda store: store.make_due(time.time(), site=site))
        self.dispatcher.wake()
        return True

    def tell_postmaster(self, peer: str, said: str, bounced: bool) -> None:
        """Send the postmaster what was said in a session (postconf(5) notify_classes), in the background."""
        task = asyncio.get_running_loop().create_task(self._tell(peer, said, bounced))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, peer: str, said: str, bounced: bool) -> None:
        try:
            number = self.next_number()
        except QueueBroken as error:
            self.log.line("smtpd", f"warning: no notice to the postmaster: {error}")
            return
        born = await self.reborn(session_notice(peer, said, bounced, self._notices, number, time.time()))
        if born is not None:
            await self._accept(born)

    def date(self, now: float) -> str:
        """The date header's text; made once a second."""
        second = int(now)
        if self._date[0] != second:
            self._date = second, rfc5322_date(datetime.fromtimestamp(second).astimezone())
        return self._date[1]

    async def receive(self, envelope: Envelope) -> Reply:
        """From the end of DATA to 250: durable first, then the reply; delivery starts at once."""
        transaction, client, options = envelope.transaction, envelope.client, envelope.options
        now = time.time()
        number = transaction.number
        shown = quote(transaction.recipients[0].address) if len(transaction.recipients) == 1 else ""
        login = envelope.login.username if envelope.login and options.sasl_authenticated_header else ""
        trace = received(
            Trace(
                helo=envelope.helo,
                client_name=client.name,
                client_address=client.address,
                hostname=options.hostname,
                mail_name=options.mail_name,
                protocol=envelope.protocol,
                queue_id=transaction.queue_id,
                date=self.date(now),
                recipient=shown,
                tls=_tls_text(envelope) if options.tls_received else "",
                login=login,
                hidden=options.hide_client,
            )
        )
        attributes = Attributes(
            client_name=client.name,
            client_address=client.address,
            client_port=client.port,
            helo=envelope.helo,
            protocol=envelope.protocol,
            sasl_method=envelope.login.method if envelope.login else "",
            sasl_username=envelope.login.username if envelope.login else "",
            sasl_sender=transaction.auth,
            body=transaction.body,
            smtputf8=transaction.smtputf8,
            ret=transaction.ret,
            envid=transaction.envid,
            filter=options.content_filter,
        )
        incoming = Incoming(
            sender=transaction.sender,
            recipients=tuple(Rewritten(r.address, r.address, r.notify, r.orcpt) for r in transaction.recipients),
            content=envelope.content,
            trace=trace,
            remote=not envelope.trusted,
            now=now,
            queue_id=transaction.queue_id,
            overrides=options.overrides,
            service=options.cleanup,
        )
        incoming, forced = _with_effects(incoming, transaction.effects)
        if envelope.spool is not None:
            return await self.keep_spool(
                envelope.spool, number, incoming, attributes, envelope.started or now, forced
            )
        return await self.keep(number, incoming, attributes, envelope.started or now, forced)

    async def keep(
        self, number: int, incoming: Incoming, attributes: Attributes, arrival: float, forced: Forced = NOTHING
    ) -> Reply:
        """Clean and keep; the reply a client gets. Nothing is kept unless it is a 250."""
        cleaned = await self._cleanup.clean(incoming)
        attributes = self._detected(attributes, _origin(attributes), cleaned)
        return self._refusal(number, cleaned) or await self._accept(
            _message(number, arrival, cleaned, cleaned.content, attributes, forced)
        )

    async def keep_spool(
        self,
        spool: Spool,
        number: int,
        incoming: Incoming,
        attributes: Attributes,
        arrival: float,
        forced: Forced = NOTHING,
    ) -> Reply:
        """`keep` for a message whose content lies in `spool`, whatever `incoming` says. Who has it calls `end`."""
        try:
            with spool.view() as view:
                cleaned = await self._cleanup.clean(replace(incoming, content=view))
            refusal = self._refusal(number, cleaned)
            if refusal is not None:
                return refusal
            attributes = self._detected(attributes, _origin(attributes), cleaned)
            content = await spool.finish(cleaned.content, cleaned.cut, cleaned.edits)
        except (QueueFull, QueueBroken) as error:
            return self.not_kept(number, error)
        return await self._accept(_message(number, arrival, cleaned, content, attributes, forced), spool)

    def _detected(self, attributes: Attributes, origin: str, cleaned: Cleaned) -> Attributes:
        """smtputf8_autodetect_classes: mail of these classes that has UTF-8 in its envelope or header counts as if it
        had asked for SMTPUTF8."""
        if origin not in self._detecting or attributes.smtputf8:
            return attributes
        content = cleaned.content
        plain = cleaned.sender.isascii() and all(one.address.isascii() for one in cleaned.recipients)
        if plain and (content.isascii() or content[: header_end(content)].isascii()):
            return attributes
        return msgspec.structs.replace(attributes, smtputf8=True)

    def _refusal(self, number: int, cleaned: Cleaned) -> Reply | None:
        """The reply to a message that is not kept: refused, or thrown away."""
        queue_id = f"{number:X}"
        for note in cleaned.notes:
            self.log.line("cleanup", f"{queue_id}: {note}")
        if cleaned.reject is not None:
            return Explained(*cleaned.reject, reason=_reason(cleaned.place))
        self.log.line("cleanup", f"{queue_id}: message-id={cleaned.message_id}")
        if cleaned.discard or not cleaned.recipients:
            return Reply(250, "2.0.0", f"Ok: queued as {queue_id}")
        return None

    def not_kept(self, number: int, error: QueueFull | QueueBroken) -> Reply:
        """The reply, and the log's line, when the queue cannot take it."""
        if isinstance(error, QueueFull):
            self.log.line("smtpd", f"warning: {number:X}: not enough space for the queue")
            return say.NO_SPACE
        self.log.line("smtpd", f"warning: {number:X}: queue write error: {error}")
        return say.QUEUE_ERROR

    async def _accept(self, message: Message, spool: Spool | None = None) -> Reply:
        """Durable, then on its way."""
        queue_id = message.id
        hot = not message.hold and self.dispatcher.has_room(message.size)
        accepted = self._queue.accept(message, owned=hot)
        if spool is not None:
            spool.follow(accepted)
        try:
            await accepted
        except (QueueFull, QueueBroken) as error:
            return self.not_kept(message.number, error)
        if not message.attributes.client_address:
            self.history.handed_in(message)
        where = "queue active" if hot else "queue hold" if message.hold else "queue deferred"
        self.log.line(
            "qmgr",
            f"{queue_id}: from=<{quote(message.sender)}>, size={message.size}, "
            f"nrcpt={len(message.recipients)} ({where})",
        )
        if hot:
            self.dispatcher.start(message)
        return Reply(250, "2.0.0", f"Ok: queued as {queue_id}")

    async def reborn(self, message: Message) -> Message | None:
        """A message born inside (bounce, forward): its addresses go through cleanup, its content does not change
        but for what cleanup adds; None when nobody is left to get it."""
        whole = message.content or b""
        incoming = Incoming(
            sender=message.sender,
            recipients=tuple(
                Rewritten(r.address, r.original or r.address, r.notify, r.orcpt) for r in message.recipients
            ),
            content=whole if isinstance(whole, bytes) else whole.header + b"\n",
            remote=message.attributes.kind != "bounce",  # a forwarded header was rewritten when it first came
            now=message.arrival,
            queue_id=message.id,
            internal=True,
        )
        cleaned = await self._cleanup.clean(incoming)
        if cleaned.reject is not None:
            return message
        if not cleaned.recipients:
            return None
        content: Content = cleaned.content
        if isinstance(whole, Stored):
            content = Stored((cleaned.content[:-1], *whole.parts[1:]))
        return msgspec.structs.replace(
            message,
            attributes=self._detected(
                message.attributes, "bounce" if message.attributes.kind == "bounce" else "forward", cleaned
            ),
            sender=cleaned.sender,
            content=content,
            size=len(content),
            recipients=tuple(_recipient(n, r) for n, r in enumerate(cleaned.recipients, start=1)),
        )


def _autodetected(settings: Settings) -> frozenset[str]:
    """The classes of smtputf8_autodetect_classes by their names; none without smtputf8_enable."""
    if not settings.flag("smtputf8_enable"):
        return frozenset()
    named = frozenset(settings.items("smtputf8_autodetect_classes"))
    return ORIGINS if "all" in named else named & ORIGINS


def _reason(place: Place | None) -> Reason | None:
    """Of a refusal by header_checks(5), as the history keeps it."""
    if place is None:
        return None
    return Reason("END-OF-MESSAGE", place.parameter, place.parameter, origin=place.origin, looked_up=place.fitted)


def _origin(attributes: Attributes) -> str:
    """Where a message that was handed in comes from, as smtputf8_autodetect_classes names it."""
    return "sendmail" if attributes.uid >= 0 else "smtpd"


def _with_effects(incoming: Incoming, effects: tuple[tuple[str, str], ...]) -> tuple[Incoming, Forced]:
    """access(5): PREPEND, REDIRECT, BCC, HOLD, FILTER."""
    if not effects:
        return incoming, NOTHING
    recipients, forced = incoming.recipients, NOTHING
    top, redirect = b"", ""
    for kind, value in effects:
        if kind == "PREPEND":
            top += value.encode("utf-8", "surrogateescape") + b"\n"
        elif kind == "REDIRECT":
            redirect = value
        elif kind == "BCC":
            recipients = (*recipients, Rewritten(value, value, "NEVER"))
        elif kind == "HOLD":
            forced = Forced(True, forced.filter)
        elif kind == "FILTER":
            forced = Forced(forced.hold, value)
    return replace(incoming, trace=top + incoming.trace, recipients=recipients, redirect=redirect), forced


def _message(
    number: int, arrival: float, cleaned: Cleaned, content: Content, attributes: Attributes, forced: Forced
) -> Message:
    # FILTER of a table or of checks wins over content_filter (access(5), header_checks(5))
    chosen = forced.filter or cleaned.filter or attributes.filter
    if cleaned.message_id or chosen:
        attributes = msgspec.structs.replace(attributes, message_id=cleaned.message_id, filter=chosen)
    return Message(
        number=number,
        arrival=arrival,
        sender=cleaned.sender,
        size=len(content),
        attributes=attributes,
        recipients=tuple(_recipient(n, r) for n, r in enumerate(cleaned.recipients, start=1)),
        content=content,
        hold=forced.hold or bool(cleaned.hold),
    )


def _recipient(n: int, rewritten: Rewritten) -> Recipient:
    return Recipient(n, rewritten.address, rewritten.original, rewritten.notify, rewritten.orcpt)


def _tls_text(envelope: Envelope) -> str:
    tls = envelope.tls
    if tls is None:
        return ""
    first = f"(using {tls.protocol} with cipher {tls.cipher} ({tls.bits}/{tls.bits} bits))"
    if tls.subject_cn:
        state = "verified OK" if tls.verified else "not verified"
        return f'{first}\n\t(Client CN "{tls.subject_cn}", Issuer "{tls.issuer_cn}" ({state}))'
    asked = envelope.options.tls_ask_cert or envelope.options.tls_require_cert
    return f"{first}\n\t({'Client did not present a certificate' if asked else 'No client certificate requested'})"
