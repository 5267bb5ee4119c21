"""The authenticator: runs a mechanism for a session and answers its questions by asking the verifiers in order.

One per worker. A password goes to each verifier until one accepts it; "try later" of any of them makes the whole
answer "try later" unless another accepts. An exchange has a time limit of its own, time spent on the client apart.
With `smtpd_sasl_type = dovecot` mechanisms and passwords are Dovecot's, and this only passes them on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.config.smtpdconf import SmtpdConf
from tayori.net.tls import TlsSession
from tayori.net.within import within
from tayori.sasl import record as records
from tayori.sasl import verifier_choice
from tayori.sasl.abuse import Abuse, Refuse
from tayori.sasl.certificates import Certificates
from tayori.sasl.cost import Cost
from tayori.sasl.mechanisms import MECHANISMS, Nonces, ServerContext
from tayori.sasl.offer import Offer, security_options, serves
from tayori.sasl.reachability import Reachability
from tayori.sasl.record import Attempt, LoginRecord
from tayori.sasl.steps import Challenge, CheckPassword, CheckToken, Failure, FetchSecret, Secret, Step, Success
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verifier
from tayori.sasl.verifiers.dovecot import Dovecot, DovecotExchange
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.outcome import TempFail
from tayori.tables.registry import Tables

log = logging.getLogger("tayori.sasl")
SECONDS = 60.0
FIRST_LOOK = 0.03
"""Seconds until it is looked again whether the log-ins under way have been decided; each time twice as long."""
LONGEST_WAIT = 8.0
Answer = Challenge | Success | Failure


class Authenticator:
    """`verifiers` None: those the configuration asks for. Raises ConfigError.

    `on_login` gets each LoginRecord (None: its line goes to the log). `state` is the folder for what outlives the
    process and is shared by all workers (the server key, failed log-ins unless given); None: $data_directory.
    """

    def __init__(
        self,
        settings: Settings,
        conf: SmtpdConf,
        verifiers: Sequence[Verifier] | None = None,
        *,
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        tables: Tables | None = None,
        abuse: Abuse | None = None,
        on_login: Callable[[LoginRecord], None] | None = None,
        failed_logins: records.FailedLogins | None = None,
        seconds: float = SECONDS,
        state: Path | None = None,
    ) -> None:
        self.settings, self.conf = settings, conf
        self.realm = settings.text("smtpd_sasl_local_domain")
        self.service = settings.text("smtpd_sasl_service") or "smtp"
        self.clock, self.monotonic, self.random, self.seconds = clock, monotonic, random, seconds
        scope = " ".join(settings.text(f"smtpd_sasl_{name}") for name in ("type", "path", "service", "local_domain"))
        self.abuse = abuse or Abuse(monotonic, say=log.warning, scope=scope)
        self.dovecot = dovecot_of(settings)
        if self.dovecot is not None:
            self.verifiers: tuple[Verifier, ...] = ()
            probed: Sequence[Verifier] = (self.dovecot,)
            self.origin = settings.origin("smtpd_sasl_path") or settings.origin("smtpd_sasl_type")
        else:
            chosen = verifier_choice.choose(settings, conf) if verifiers is None else verifiers
            self.verifiers = tuple(chosen)
            probed = self.verifiers
            self.origin = verifier_choice.origin(settings, conf)
            self._tables = tables
            self._offer = Offer(settings, conf, self.verifiers, tables)
            if self._offer.alone:
                probed = ()  # nobody asks them
        self.reachability = Reachability(probed, self.origin, clock=monotonic)
        self._exceptions = _exceptions(settings, tables)
        self._on_login = on_login
        self.say: Callable[[str], None] = log.info
        folder = state or Path(settings.text("data_directory"))
        self._failed = failed_logins or records.FailedLogins(folder / records.FILE_NAME)
        self.certificates = Certificates(settings, tables)
        self._looks, self._served = 0, self._properties()
        self._nonces = Nonces()
        self._contexts: dict[tuple[bool, tuple[str, ...]], ServerContext] = {}  # of log-ins alike, few
        self._server_key = server_key(folder, random)
        self._scram = {name: Cost.of(self.verifiers) for name in MECHANISMS if name.startswith("SCRAM-")}

    async def start(self) -> None:
        """Look once whether the verifiers can be asked, before the first client is served."""
        if self.dovecot is None and "GSSAPI" in self._offer.names(True) + self._offer.names(False):
            # worked out as root; now it counts whether the keytab can be read without
            self._offer = Offer(self.settings, self.conf, self.verifiers, self._tables)
            for row in self._offer.removed:
                if row.setting == "keytab":
                    log.warning("%s is not offered: %s", row.mechanism, row.why)
        await self.reachability.look()

    def offered(
        self,
        tls: bool,
        client_address: str = "",
        channel_bindings: Collection[str] = (),
        external: str = "",
    ) -> tuple[str, ...]:
        """Mechanisms for 250-AUTH, in order; empty when AUTH must not be offered now."""
        up = self.reachability.up()
        if not up and self.dovecot is not None:
            return ()
        if self._exceptions is not None and client_address and self._excepted(client_address):
            return ()
        if self.dovecot is not None:
            return self.dovecot.offered(tls)
        if not up:
            return self._offer.names_alone(tls, external)
        if self._looks != self.reachability.looks:
            self._look_again()
        return self._offer.names(tls, channel_bindings, external)

    def removed(self) -> list[tuple[str, str, str]]:
        """(mechanism, setting, why) for each that is known or named but not offered."""
        if self.dovecot is not None:
            return []
        state = {None: "", True: " (with TLS)", False: " (without TLS)"}
        return [(r.mechanism, r.setting, r.why + state[r.tls]) for r in self._offer.removed]

    def begin(
        self,
        mechanism: str,
        initial: bytes | None,
        *,
        client_address: str,
        tls: bool,
        channel_bindings: Mapping[str, bytes] | None = None,
        external: str = "",
        server_address: str = "",
    ) -> Exchange | DovecotExchange:
        """Start an exchange; `initial` is the decoded initial response (b"" for "="), None without one.

        Call `step()` once for the first answer, then `step(response)` for each decoded response.
        """
        name = mechanism.upper()
        record = LoginRecord(name, client_address, self.clock())
        bindings = channel_bindings or {}
        if self.dovecot is not None:
            return DovecotExchange(
                self.dovecot, name, initial, tls, client_address, server_address, record, self.done
            )
        offered = self._offer.names(tls, bindings, external)
        if name not in offered:
            return Exchange(self, None, None, record)
        cost = self._scram.get(name)
        if bindings or external or cost is not None:
            context = self._context(cost or Cost(), tls, dict(bindings), external, offered)
        else:
            context = self._contexts.get((tls, offered)) or self._contexts.setdefault(
                (tls, offered), self._context(Cost(), tls, {}, "", offered)
            )
        return Exchange(self, context, initial, record)

    def _context(
        self, cost: Cost, tls: bool, bindings: dict[str, bytes], external: str, offered: tuple[str, ...]
    ) -> ServerContext:
        return ServerContext(
            realm=self.realm,
            hostname=self.settings.text("myhostname"),
            random=self.random,
            clock=self.clock,
            service=self.service,
            channel_bindings=bindings,
            offers_plus=any(other.endswith("-PLUS") for other in offered),
            external=external,
            tls=tls,
            anonymous=True,
            server_key=self._server_key,
            nonces=self._nonces,
            iterations=cost.iterations,
            salt_size=cost.salt_size,
            plain_store=cost.plain,
            keytab=self.conf.get("keytab"),
        )

    async def identity(self, tls: TlsSession) -> str:
        """Who the client's certificate logs in as (EXTERNAL); "" for nobody. Ask once for each TLS session."""
        return await self.certificates.identity(tls) if self.certificates else ""

    def done(self, record: LoginRecord, answer: Success | Failure) -> None:
        """Book the end of an exchange: counts, the record for the log, the file for explain-login."""
        record.ok = isinstance(answer, Success)
        asked = record.username  # counts go by the name that was given, since that is what the next check has
        if isinstance(answer, Success):
            record.username = answer.username
        else:
            record.reason, record.temporary = answer.why, answer.temporary
            if answer.username and not record.username:
                record.username = self.canonical(answer.username)
        if record.username and not record.temporary:
            # temporary: the back end's trouble, or ours, and nobody's wrong password
            record.quiet = not self.abuse.note(record.address, asked or record.username, record.ok)
        if record.temporary and any(attempt.answer == "try later" for attempt in record.attempts):
            self.reachability.failed()
        if not record.ok and not record.quiet:
            self._failed.append(record)
        if self._on_login is not None:
            self._on_login(record)
        elif not record.quiet:
            self.say(record.line())

    def cost(self, mechanism: str) -> Cost | None:
        """What a SCRAM log-in costs here; None for other mechanisms."""
        return self._scram.get(mechanism)

    def canonical(self, username: str) -> str:
        """The name with smtpd_sasl_local_domain when it has no realm, as the Cyrus library makes it."""
        return f"{username}@{self.realm}" if self.realm and "@" not in username else username

    def close(self) -> None:
        """Release every verifier and say what was left unsaid."""
        self.abuse.summarise(everything=True)
        self.reachability.close()
        for verifier in self.verifiers:
            verifier.close()
        if self.dovecot is not None:
            self.dovecot.close()

    def _properties(self) -> tuple[object, ...]:
        return tuple((verifier.secrets, getattr(verifier, "properties", None)) for verifier in self.verifiers)

    def _look_again(self) -> None:
        """What the stores hold may have changed: an account with, or without, SCRAM keys."""
        self._looks = self.reachability.looks
        served = self._properties()
        if served != self._served:
            self._served = served
            self._offer = Offer(self.settings, self.conf, self.verifiers, self._tables)

    def _excepted(self, address: str) -> bool:
        assert self._exceptions is not None
        question = self._exceptions.match(address)
        try:
            question.send(None)
        except StopIteration as answer:
            return answer.value is not None and not isinstance(answer.value, TempFail)
        question.close()
        return False


class Exchange:
    """One AUTH. `record` says afterwards what was asked of whom."""

    def __init__(
        self, owner: Authenticator, context: ServerContext | None, initial: bytes | None, record: LoginRecord
    ) -> None:
        self.record = record
        self._owner = owner
        self._row = MECHANISMS.get(record.mechanism) if context is not None else None
        self._mechanism = self._row.server(context) if self._row is not None and context is not None else None
        self._initial = initial
        self._started = False
        self._over = False
        self._pending: Success | None = None
        self._left = owner.seconds
        self._cost = owner.cost(record.mechanism)
        self._places: tuple[bytes, ...] = ()

    async def step(self, response: bytes | None = None) -> Answer:
        """The next challenge, or the end. Never raises for what a client sends."""
        if self._over:
            return Failure("the exchange is over", malformed=True)
        if self._pending is not None:
            return self._end(self._pending if not response else Failure("a response after the last word"))
        if self._mechanism is None:
            return self._end(Failure("this mechanism is not offered", unknown=True))
        event: object = response
        if not self._started:
            self._started = True
            event = self._initial if response is None else response
        before = self._owner.monotonic()
        try:
            step = await within(self._left, self._run(event))
        except TimeoutError:
            step = Failure(f"no answer from the back ends within {self._owner.seconds:g} seconds", temporary=True)
        self._left -= self._owner.monotonic() - before
        if isinstance(step, Success):
            username = self._owner.canonical(step.username)
            if username != step.username:
                step = replace(step, username=username)
            if step.data:
                self._pending = step
                return Challenge(step.data)
        return step if isinstance(step, Challenge) else self._end(step)

    def cancel(self) -> None:
        """The client gave up ("*") or went away: nothing is counted."""
        self._over = True
        self._give_back()

    def refuse(self, why: str) -> Success | Failure:
        """The client's words cannot be read: the exchange ends."""
        return self._end(Failure(why, malformed=True))

    def _end(self, answer: Success | Failure) -> Success | Failure:
        self._over = True
        self._owner.done(self.record, answer)
        self._give_back()
        return answer

    def _give_back(self) -> None:
        self._owner.abuse.end(self._places)
        self._places = ()

    async def _admitted(self) -> TryLater | None:
        """Take places for this attempt and pay its delay; wait while too many others of the same source are not
        decided yet, for a client that opens many connections at once does no wrong."""
        owner, pause = self._owner, FIRST_LOOK
        began = owner.monotonic()
        self._give_back()
        while isinstance(held := owner.abuse.begin(self.record.address, self.record.username), Refuse):
            self.record.delayed = owner.monotonic() - began
            if not held.undecided or self.record.delayed + pause > min(LONGEST_WAIT, self._left / 2):
                self.record.held = not held.undecided
                return TryLater(held.why, "abuse")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
        self._places = held.places
        if held.seconds:
            self.record.delayed += held.seconds
            await asyncio.sleep(min(held.seconds, self._left / 2))
        return None

    async def _run(self, event: object) -> Answer:
        assert self._mechanism is not None
        step = await self._next(event)
        for _ in range(20):
            if isinstance(step, (Challenge, Success, Failure)):
                return step
            step = await self._next(await self._answer(step))
        return Failure("the mechanism asks without end")

    async def _next(self, event: object) -> Step:
        """Key derivation from a plain password and Kerberos' keytab and replay cache take time: not in the loop."""
        assert self._mechanism is not None and self._row is not None
        if self._row.needs != "gssapi":
            derives = self._cost is not None and isinstance(event, (Secret, Refused))
            if not derives or not self._cost_of(event):
                return self._mechanism.next(event)
        return await asyncio.to_thread(self._mechanism.next, event)

    def _cost_of(self, event: object) -> bool:
        """Whether SCRAM will derive keys for this answer; notes what an unknown name must cost from now on."""
        assert self._cost is not None
        if isinstance(event, Secret):
            self._cost.learn(event, self.record.mechanism)
        return self._cost.plain

    async def _answer(self, step: CheckPassword | FetchSecret | CheckToken) -> object:
        owner = self._owner
        name, realm = split_realm(step.authcid, owner.realm if isinstance(step, CheckToken) else step.realm)
        self.record.username = owner.canonical(step.authcid)
        if (not_now := await self._admitted()) is not None:
            return not_now
        refused: Refused | None = None
        later: TryLater | None = None
        for verifier in owner.verifiers:
            assert self._row is not None
            if not serves(verifier, self._row):
                continue
            answer = await self._ask(verifier, step, name, realm)
            self._book(verifier, f"{name}@{realm}" if realm else name, answer)
            if isinstance(answer, (Accepted, Secret)):
                return answer
            if isinstance(answer, TryLater):
                later = answer
            else:
                refused = answer
        return later or refused or Refused("no back end can answer this")

    async def _ask(
        self, verifier: Verifier, step: CheckPassword | FetchSecret | CheckToken, name: str, realm: str
    ) -> Accepted | Refused | TryLater | Secret:
        if isinstance(step, CheckPassword):
            return await verifier.verify(name, step.password, realm, self._owner.service)
        if isinstance(step, FetchSecret):
            return await verifier.fetch(name, realm, step.wanted)
        check = getattr(verifier, "check_token", None)
        answer: Accepted | Refused | TryLater = (
            await check(step.authcid, step.token) if check else Refused("no tokens")
        )
        return answer

    def _book(self, verifier: Verifier, asked: str, answer: Accepted | Refused | TryLater | Secret) -> None:
        words = {Accepted: "accepted", Secret: "secret given", Refused: "refused", TryLater: "try later"}
        why = getattr(answer, "why", "")
        self.record.attempts.append(Attempt(answer.source or verifier.name, asked, words[type(answer)], why))


def split_realm(username: str, default: str) -> tuple[str, str]:
    """(name, realm): at the last "@", else with the default realm, as the Cyrus library does.

    "taro@" is nobody: not another way to write taro, under which sasl_username would be an unexpected one.
    """
    name, _, realm = username.rpartition("@")
    return (name, realm) if realm and name else (username, default)


def dovecot_of(settings: Settings) -> Dovecot | None:
    """By smtpd_sasl_type; None: mechanisms and passwords are our own. Raises ConfigError."""
    kind = settings.text("smtpd_sasl_type")
    if kind == "dovecot":
        for parameter in ("smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"):
            security_options(settings, parameter)
        return Dovecot.from_settings(settings)
    if kind not in ("", "cyrus"):
        origin = settings.origin("smtpd_sasl_type")
        raise ConfigError(f"smtpd_sasl_type: {kind} is not known", origin, "write cyrus or dovecot")
    return None


def _exceptions(settings: Settings, tables: Tables | None) -> MatchList | None:
    if not settings.text("smtpd_sasl_exceptions_networks"):
        return None
    return MatchList.from_settings(
        tables or Tables(settings), settings, "smtpd_sasl_exceptions_networks", Kind.NETWORK
    )


def server_key(folder: Path, random: Callable[[int], bytes]) -> bytes:
    """32 octets that stay the same for all workers and restarts (fake salts for unknown names come from it).

    Kept in `folder`/sasl_server_key; where that cannot be written the key lives as long as the process.
    """
    path = folder / "sasl_server_key"
    try:
        known = path.read_bytes()
        if len(known) == 32:
            return known
    except OSError:
        pass
    key = random(32)
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
        try:
            os.link(temporary, path)  # the first worker wins
        except FileExistsError:
            key = path.read_bytes()
        os.unlink(temporary)
    except OSError:
        return key
    return key
