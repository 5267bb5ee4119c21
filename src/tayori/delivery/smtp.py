"""smtp(8): delivery to remote hosts by SMTP; lmtp.py is the same agent with the other greeting.

Contract: `deliver` gives an outcome for every recipient and raises nothing that a remote or the network can cause.
Hosts are tried in order of preference until all recipients are settled; a temporary refusal is offered to the next
host, at most `smtp_mx_session_limit` sessions in all. Sessions are kept for a short while and used again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Protocol

from tayori.config.settings import Settings
from tayori.delivery import smtp_texts
from tayori.delivery.mx import Choice, Hop, Names, Target, Unreachable, parse_hops, targets
from tayori.delivery.outcome import DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.reply_filter import ReplyFilter
from tayori.delivery.sessions import Cache, Key, Session, Wire
from tayori.delivery.smtp_auth import Logins
from tayori.delivery.smtp_handshake import Failed, Handshake, Wanted
from tayori.delivery.smtp_job import Attempt, Job, Sending
from tayori.delivery.smtp_options import SmtpOptions, keywords
from tayori.net import stream
from tayori.net.tls import TlsContext, client_context
from tayori.protocol.smtp_client_values import Answered, ClientOptions, Done, Lost, SendContent, Stage
from tayori.queue.content import Content, Unreadable
from tayori.queue.model import Attributes, Recipient
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables


class Connect(Protocol):
    """As net.stream.connect."""

    def __call__(self, host: str, port: int, *, timeout: float, source_address: str = "") -> Awaitable[Wire]:
        """Raises OSError, TimeoutError."""
        ...


class ConnectUnix(Protocol):
    """As net.stream.connect_unix."""

    def __call__(self, path: str, *, timeout: float) -> Awaitable[Wire]:
        """Raises OSError, TimeoutError."""
        ...


_log = logging.getLogger("tayori.smtp")


def _unreadable(job: Job, error: Unreadable) -> None:
    """Nobody has all of it: tried again later."""
    _log.error("%s", error)
    job.all(DeferredDelivery("queue file read error", "4.3.0"))
    job.stop = True


class SmtpAgent:
    """One master.cf service that runs smtp or lmtp. `settings` already has the service's `-o` overrides."""

    def __init__(
        self,
        settings: Settings,
        names: Names,
        *,
        lmtp: bool = False,
        logins: Logins | None = None,
        tables: Tables | None = None,
        connect: Connect = stream.connect,
        connect_unix: ConnectUnix = stream.connect_unix,
        clock: Callable[[], float] = time.monotonic,
        shuffle: Callable[[list[Target]], None] | None = random.shuffle,
    ) -> None:
        """Raises ConfigError."""
        self.options = options = SmtpOptions.of(settings, lmtp=lmtp)
        self._names = names
        self._logins = logins
        prefix = "lmtp" if lmtp else "smtp"
        self._auth_soft = settings.flag(f"{prefix}_sasl_auth_soft_bounce")
        self._by_sender = settings.flag(f"{prefix}_sender_dependent_authentication")
        self._discard, self._replies = (
            Maps.from_settings(tables, settings, name) if tables is not None else Maps(())
            for name in (options.discard_maps, f"{prefix}_reply_filter")
        )
        self._connect = connect
        self._connect_unix = connect_unix
        self._clock = clock
        self._cache = Cache(options.cache_time, clock)
        self._tls: TlsContext | None = None
        if options.tls_level != "none" or options.tls_wrapper:
            self._tls = client_context(
                settings, mandatory=options.tls_level == "encrypt" or options.tls_wrapper, prefix=prefix
            )
        self.choice = Choice(
            shuffle=shuffle if options.randomize else None,
            limit=options.address_limit,
            prefer=options.prefer,
            balance=options.balance,
            own=options.own,
            hostname=options.hostname,
            dns=options.dns,
            ignore_mx_error=options.ignore_mx_error,
            defer_no_address=options.defer_no_address,
        )

    async def deliver(
        self,
        nexthop: str,
        sender: str,
        content: Content,
        recipients: Iterable[Recipient],
        attributes: Attributes | None = None,
        queue_id: str = "",
    ) -> Attempt:
        """Deliver one message to recipients that share a next hop. `queue_id` is for the log. `content` has LF
        line ends."""
        job = Job(sender, content, recipients, attributes or Attributes(), self.options)
        job.queue_id = queue_id
        job.reject_bad_addresses()
        key: Key = (nexthop.lower(), sender if self._by_sender else "")
        if job.pending:
            session = self._cache.take(key)
            if session is not None:
                await self._transact(session, job, key)
        if job.pending and not job.stop:
            await self._try_hops(nexthop, job, key)
        return job.result()

    async def probe(self, nexthop: str, sender: str, address: str) -> DeliveryOutcome:
        """Ask the hosts of `nexthop` whether they would take mail for `address`, on a session of its own, and send
        none (ADDRESS_VERIFICATION_README; smtp_address_verify_target says whether RCPT or DATA decides)."""
        utf8 = self.options.detect_probe and not address.isascii()
        job = Job(sender, b"", (Recipient(1, address),), Attributes(smtputf8=utf8), self.options)
        job.probe = self.options.probe
        job.reject_bad_addresses()
        if job.pending:
            await self._try_hops(nexthop, job, (nexthop.lower(), sender if self._by_sender else ""))
        return job.result()[1]

    def close(self) -> None:
        """Close the idle sessions."""
        self._cache.close()

    async def _try_hops(self, nexthop: str, job: Job, key: Key) -> None:
        options = self.options
        try:
            hops = parse_hops(
                nexthop, options.default_port, lmtp=options.lmtp, queue_directory=options.queue_directory
            )
            if options.fallback:
                hops += parse_hops(options.fallback, options.default_port)
        except Unreachable as error:
            job.all(error.outcome)
            return
        for place, hop in enumerate(hops):
            if not await self._try_hop(hop, job, key, last=place == len(hops) - 1):
                return

    async def _try_hop(self, hop: Hop, job: Job, key: Key, *, last: bool) -> bool:
        """Whether the next destination may be tried."""
        try:
            found = await targets(hop, self._names, self.choice)
        except Unreachable as error:
            outcome = error.outcome
            if last or outcome.enhanced == "5.4.6":
                job.all(outcome)
                return False
            for n in job.pending:
                job.outcomes[n] = outcome
            return True
        for target in found:
            if self.options.sessions and job.sessions >= self.options.sessions:
                return False
            session = await self._open(target, job, key)
            if session is not None:
                job.sessions += 1
                await self._transact(session, job, key)
            if not job.pending or job.stop:
                return False
        return True

    async def _open(self, target: Target, job: Job, key: Key, level: str = "") -> Session | None:
        """A session that is ready for mail, or None with the reason noted for all who wait."""
        options = self.options
        try:
            if target.path:
                wire = await self._connect_unix(target.path, timeout=options.connect_timeout)
            else:
                source = options.bind6 if ":" in target.address else options.bind4
                wire = await self._connect(
                    target.address, target.port, timeout=options.connect_timeout, source_address=source
                )
        except OSError as error:
            job.unhealthy(smtp_texts.no_connection(target, error))
            return None
        client = await self._client(target)
        if client is None:
            job.all(smtp_texts.no_table(self.options.discard_maps))
            wire.abort()
            return None
        replies = ReplyFilter(self._replies) if self._replies else None
        session = Session(wire, target, client, options.timeouts, self._clock(), replies)
        level = level or options.tls_level
        wanted = Wanted(level, self._tls, key[0], job.sender, self._logins, self._auth_soft)
        try:
            await Handshake(session, options, wanted).run()
        except Failed as error:
            session.close()
            if error.clear:
                return await self._open(target, job, key, level="none")
            job.unhealthy(error.outcome)
            return None
        except TimeoutError:
            job.unhealthy(smtp_texts.timed_out(target, session.client.stage))
            wire.abort()
            return None
        except BaseException:
            wire.abort()
            raise
        job.healthy, job.reason = True, ""
        return session

    async def _client(self, target: Target) -> ClientOptions | None:
        """The options for this server: smtp_discard_ehlo_keyword_address_maps; None when they cannot be asked."""
        options = self.options.client
        if not self._discard:
            return options
        answer = await self._discard.lookup(target.path or target.address)
        if isinstance(answer, TempFail):
            return None
        return replace(options, discard=keywords(answer.value)) if isinstance(answer, Found) else options

    async def _transact(self, session: Session, job: Job, key: Key) -> None:
        offered = session.client.capabilities
        try:
            content = await job.sending(offered)
        except Unreadable as error:
            _unreadable(job, error)
            self._keep(session, key)
            return
        if content.parts:
            _log.info(f"{job.queue_id}: {content.parts} 8-bit part{'s' * (content.parts > 1)} sent to "
                      f"{session.target.name} as quoted-printable: 8BITMIME is not offered")  # fmt: skip
        self._refuse(session, job, content)
        if not job.pending:
            self._keep(session, key)
            return
        try:
            envelope, numbers = job.envelope(content, offered)
            session.client.begin(envelope)
            await self._converse(session, job, numbers, content)
        except TimeoutError:
            stage = session.client.stage
            for index in session.client.unanswered:
                job.answer(numbers[index], smtp_texts.timed_out(session.target, stage))
            job.stop = stage is Stage.DOT
            session.wire.abort()
            return
        except Unreadable as error:
            # without the last dot the server forgets what it has (RFC 5321 4.1.4)
            session.wire.abort()
            _unreadable(job, error)
            return
        except BaseException:
            session.wire.abort()
            raise
        if job.probe:
            session.close(quit_first=not session.client.unanswered)
        else:
            self._keep(session, key)

    def _refuse(self, session: Session, job: Job, content: Sending) -> None:
        """What EHLO already rules out."""
        offered = session.client.capabilities
        if "SMTPUTF8" not in offered:
            for n in job.needs_smtputf8(content):
                job.answer(n, smtp_texts.no_smtputf8(session.target))
        limit = offered.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < content.size:
            job.all(smtp_texts.too_large(session.target, content.size, int(limit)))

    async def _converse(self, session: Session, job: Job, numbers: tuple[int, ...], content: Sending) -> None:
        """One transaction to its end. Raises TimeoutError."""
        target = session.target
        answered = False
        while True:
            for event in await session.step():
                if isinstance(event, Answered):
                    answered = True
                    meaning = smtp_texts.asked if job.probe else smtp_texts.said
                    job.answer(numbers[event.index], meaning(target, event.reply, event.stage))
                    session.clean = event.stage is Stage.DOT
                elif isinstance(event, SendContent) and job.probe:
                    # no way back from here but to hang up, which tells the server to forget it (RFC 5321 4.1.4)
                    job.all(Delivered("the server is ready for content", relay=target.relay))
                    return
                elif isinstance(event, SendContent):
                    data = content.content
                    await session.send_content(data if isinstance(data, bytes) else content.pieces())
                elif isinstance(event, Done):
                    session.used += 1
                    job.healthy, job.reason = True, ""
                    return
                elif isinstance(event, Lost):
                    if session.used and not answered and event.stage in (Stage.MAIL, Stage.IDLE):
                        # an idle session that the server had closed says nothing about the message
                        return
                    for index in session.client.unanswered:
                        job.answer(numbers[index], smtp_texts.lost(target, event))
                    job.stop = event.stage is Stage.DOT
                    return

    def _keep(self, session: Session, key: Key) -> None:
        """Keep a session that stands between two messages; close any other."""
        options = self.options
        worn = (options.reuse_count and session.used >= options.reuse_count) or (
            self._clock() - session.born >= options.reuse_time
        )
        if session.client.idle and session.clean and not worn:
            self._cache.put(key, session)
        else:
            session.close()
