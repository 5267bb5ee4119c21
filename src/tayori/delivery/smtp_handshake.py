"""From a connection to a session that takes mail: greeting, EHLO, STARTTLS, AUTH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tayori.delivery import smtp_texts
from tayori.delivery.outcome import DeliveryOutcome
from tayori.delivery.sessions import Session
from tayori.delivery.smtp_auth import Login, Logins, LoginTrouble
from tayori.delivery.smtp_options import SmtpOptions
from tayori.net.tls import TlsContext, TlsError
from tayori.protocol.smtp_client_values import (
    Authenticated,
    AuthRefused,
    Challenged,
    Event,
    Lost,
    Ready,
    RefusedSession,
    StartTls,
    TlsRefused,
)
from tayori.sasl.client import respond
from tayori.sasl.steps import ClientMechanism, SaslError
from tayori.tables.outcome import TempFail


class Failed(Exception):
    """The session cannot be used. `clear`: worth a second try without TLS (level may)."""

    def __init__(self, outcome: DeliveryOutcome, *, clear: bool = False) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome
        self.clear = clear


@dataclass(frozen=True, slots=True)
class Wanted:
    """What this handshake is to reach. `level` is none, may or encrypt."""

    level: str
    context: TlsContext | None
    nexthop: str
    sender: str
    logins: Logins | None
    auth_soft: bool = True


class Handshake:
    """Drives one session until it is ready. Raises Failed, TimeoutError."""

    def __init__(self, session: Session, options: SmtpOptions, wanted: Wanted) -> None:
        self.session = session
        self.options = options
        self.wanted = wanted
        self._mechanism: ClientMechanism | None = None
        self._login: Login | None = None
        self._broken = ""
        self._ready = False

    async def run(self) -> None:
        """Come back when mail may be sent."""
        target = self.session.target
        if self.options.tls_wrapper and self.wanted.context is not None:
            try:
                await self.session.wire.start_tls(self.wanted.context, False, target.host)
            except TlsError as error:
                raise Failed(smtp_texts.tls_failed(target)) from error
        while not self._ready:
            for event in await self.session.step():
                await self._on(event)

    async def _on(self, event: Event) -> None:
        target = self.session.target
        match event:
            case RefusedSession(reply, stage):
                soft = stage.name == "GREETING" and self.options.skip_5xx_greeting
                raise Failed(smtp_texts.refused(target, reply, soft=soft))
            case Lost():
                raise Failed(smtp_texts.lost(target, event))
            case Ready():
                await self._on_ready(event)
            case StartTls():
                await self._secure()
            case TlsRefused(reply):
                if self.wanted.level == "encrypt":
                    raise Failed(smtp_texts.tls_refused(target, reply))
                await self._log_in()
            case Challenged(data):
                await self._respond(data)
            case Authenticated():
                if self._mechanism is None or not self._mechanism.complete:
                    why = f"server {target.name} says that we are logged in, but has not proved who it is"
                    raise Failed(smtp_texts.auth_failed(target, why, soft=True))
                self._ready = True
            case AuthRefused() if self._broken:
                raise Failed(smtp_texts.auth_failed(target, self._broken, soft=True))
            case AuthRefused(reply):
                if self._login is not None:
                    await self._login.refused(reply.text if reply.code == 535 else "")
                why = f"server {target.name} said: {reply.text}"
                soft = self.wanted.auth_soft or reply.code < 500
                raise Failed(smtp_texts.auth_failed(target, why, soft=soft, reply=reply.text))
            case _:
                return

    async def _on_ready(self, event: Ready) -> None:
        target, client = self.session.target, self.session.client
        if target.loop and event.name.lower() == self.options.hostname.lower():
            raise Failed(smtp_texts.own_greeting(target, self.wanted.nexthop))
        if self.session.wire.tls is None and self.wanted.level != "none":
            if "STARTTLS" in client.capabilities and self.wanted.context is not None:
                client.start_tls()
                return
            if self.wanted.level == "encrypt":
                raise Failed(smtp_texts.no_tls(target))
        await self._log_in()

    async def _secure(self) -> None:
        assert self.wanted.context is not None
        target = self.session.target
        try:
            await self.session.secure(self.wanted.context, target.host)
        except (TlsError, TimeoutError) as error:
            raise Failed(smtp_texts.tls_failed(target), clear=self.wanted.level == "may") from error

    async def _log_in(self) -> None:
        client, target = self.session.client, self.session.target
        if self.wanted.logins is None:
            self._ready = True
            return
        try:
            login = await self.wanted.logins.find(self.wanted.nexthop, target.host, self.wanted.sender)
        except LoginTrouble as error:
            raise Failed(smtp_texts.auth_failed(target, str(error), soft=True)) from error
        if isinstance(login, TempFail):
            raise Failed(smtp_texts.auth_failed(target, f"password table: {login.why}", soft=True))
        if login is None:
            self._ready = True
            return
        await self._start_auth(login, client.capabilities.get("AUTH", "").split())

    async def _start_auth(self, login: Login, offered: Sequence[str]) -> None:
        target = self.session.target
        tls = self.session.wire.tls
        chosen = None
        if offered:
            verified, bindings = (tls.verified, tls.bindings) if tls is not None else (False, {})
            certificate = tls is not None and self.wanted.context is not None and self.wanted.context.own is not None
            chosen = login.choose(offered, tls is not None, verified, bindings, certificate)
        if chosen is None:
            why = f"cannot authenticate to server {target.name}: no mechanism available"
            raise Failed(smtp_texts.auth_failed(target, why, soft=True))
        reply = await login.remembered()
        if reply:
            why = f"server {target.name} said: {reply}"
            raise Failed(smtp_texts.auth_failed(target, why, soft=self.wanted.auth_soft, reply=reply, cached=True))
        name, self._mechanism = chosen
        self._login = login
        try:
            self.session.client.authenticate(name, await respond(self._mechanism, None))
        except SaslError as error:
            raise Failed(smtp_texts.auth_failed(target, str(error), soft=True)) from error

    async def _respond(self, challenge: bytes) -> None:
        assert self._mechanism is not None
        try:
            response = await respond(self._mechanism, challenge)
        except SaslError as error:
            response, self._broken = None, str(error)
        self.session.client.respond(response)
