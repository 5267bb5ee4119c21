"""Logging in to another server: which mechanism, by Postfix's rules, and with which name and password.

postconf(5) smtp_sasl_mechanism_filter, smtp_sasl_security_options, smtp_sasl_tls_security_options,
smtp_sasl_tls_verified_security_options, smtp_sasl_password_maps, smtp_sasl_password_result_delimiter,
smtp_sender_dependent_authentication, send_cyrus_sasl_authzid; the same with lmtp_ for LMTP. Of what the server
offers, what the filter leaves and what the options let through, the strongest that there are credentials for is
taken; EXTERNAL (with smtp_tls_cert_file and the like) and GSSAPI (with a ticket) only where the map gives no
password, or where the filter leaves nothing else. `ClientLogin` holds the rules, `PasswordMaps` finds credentials,
and `Login` is one set of them with its rules, as `delivery.smtp_auth` asks for it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.sasl.mechanisms import MECHANISMS, SECURITY_OPTIONS, ClientContext, Row
from tayori.sasl.refused_logins import RefusedLogins
from tayori.sasl.steps import ClientMechanism, SaslError
from tayori.sasl.tokens import TokenSource, TokenTrouble
from tayori.sasl.verifier_choice import preload
from tayori.tables.maps import Maps
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables

TOKEN_MAPS = "tayori_smtp_sasl_token_maps"  # noqa: S105
MAX_OFFERED = 100  # words of a server's AUTH line that are looked at
BLOCKING_SECONDS = 30.0  # for one step of a mechanism that asks somebody else
_threads = ThreadPoolExecutor(4, thread_name_prefix="sasl-client")


class ClientLogin:
    """The rules of one client ("smtp" or "lmtp"), read once. Raises ConfigError for a bad option or filter."""

    def __init__(self, settings: Settings, tables: Tables, prefix: str = "smtp") -> None:
        _known_type(settings, f"{prefix}_sasl_type")
        tls = f"{prefix}_sasl_tls_security_options"
        self._options = {
            (False, False): _options(settings, f"{prefix}_sasl_security_options"),
            (True, False): _options(settings, tls),
            (True, True): _options(settings, f"{prefix}_sasl_tls_verified_security_options"),
        }
        self._filtered = _filtered(settings, tables, f"{prefix}_sasl_mechanism_filter")
        if "GSSAPI" not in self._filtered:
            preload(("gssapi",))

    def options(self, tls: bool, verified: bool = False) -> frozenset[str]:
        """The security options that hold in this state of TLS."""
        return self._options[tls, tls and verified]

    def choose(
        self, offered: Iterable[str], options: frozenset[str], context: ClientContext
    ) -> tuple[str, ClientMechanism] | None:
        """The strongest mechanism that is allowed and that the context has the means for; None when there is none."""
        names = _words(offered)
        rows = [MECHANISMS[name] for name in names if name in MECHANISMS]
        fit = [row for row in rows if not self._objection(row, options, context)]
        if not fit and self._filtered:
            # the filter leaves nothing that takes a password: the one in the map is there because Postfix wants one
            without = replace(context, password="", token="")
            fit = [row for row in rows if not self._objection(row, options, without)]
        if not fit:
            return None
        best = max(fit, key=lambda row: row.strength)
        plus = any(name.startswith("SCRAM-") and name.endswith("-PLUS") for name in names)
        return best.name, best.client(replace(context, offers_plus=plus))

    def refusals(self, offered: Iterable[str], options: frozenset[str], context: ClientContext) -> dict[str, str]:
        """Why each offered mechanism is not taken, for the log and `explain`; those that fit are left out."""
        found = {}
        for name in _words(offered):
            row = MECHANISMS.get(name)
            why = self._objection(row, options, context) if row else "not known here"
            if why:
                found[name] = why
        return found

    def _objection(self, row: Row, options: frozenset[str], context: ClientContext) -> str:
        """Empty when the mechanism can be used."""
        if row.name in self._filtered:
            return f"left out by {self._filtered[row.name]}"
        option = row.traits.permitted_by(options)
        if option:
            return f"not allowed by the security option {option}"
        return _lacking(row, context)


def _lacking(row: Row, context: ClientContext) -> str:
    """What the context lacks for a mechanism.

    EXTERNAL, GSSAPI and ANONYMOUS are used only where no password or token is given: a password in the map says
    how the administrator wants to log in.
    """
    if row.plus and not context.channel_bindings:
        return "no channel binding in this session"
    if row.needs in ("password", "secrets"):
        return "" if context.username and context.password else "no name and password"
    if row.needs == "token":
        return "" if context.token else "no token"
    if context.password or context.token:
        return "there is a password or a token to use"
    if row.needs == "certificate" and not context.certificate:
        return "no client certificate"
    return ""


def _known_type(settings: Settings, parameter: str) -> None:
    """Postfix has one kind of SASL client, and so have we; dovecot is a server's."""
    if settings.text(parameter) not in ("", "cyrus"):
        mend = f"remove it, or write {parameter} = cyrus (dovecot is for smtpd_sasl_type)"
        raise ConfigError(
            f"{parameter}: {settings.text(parameter)} is no SASL client", settings.origin(parameter), mend
        )


def _delimiter(settings: Settings, parameter: str) -> str:
    delimiter = settings.text(parameter)
    if len(delimiter) != 1 or delimiter.isspace():
        mend = "write one character that is in no login name, such as :"
        raise ConfigError(f"{parameter}: {delimiter!r} is not one character", settings.origin(parameter), mend)
    return delimiter


def _words(offered: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.upper() for name, _ in zip(offered, range(MAX_OFFERED), strict=False)))


def _options(settings: Settings, parameter: str) -> frozenset[str]:
    options = frozenset(word.lower() for word in settings.items(parameter))
    unknown = sorted(options - SECURITY_OPTIONS)
    if unknown:
        mend = "known are: " + " ".join(sorted(SECURITY_OPTIONS))
        raise ConfigError(f"{parameter}: {unknown[0]} is not known", settings.origin_of(parameter, unknown[0]), mend)
    return options


def _filtered(settings: Settings, tables: Tables, parameter: str) -> Mapping[str, str]:
    """Mechanisms that the filter leaves out, each with the parameter's name; asked once for all we know."""
    if not settings.items(parameter):
        return {}
    wanted = MatchList.from_settings(tables, settings, parameter, Kind.STRING)
    out = {}
    for name in MECHANISMS:
        question = wanted.match(name)
        try:
            question.send(None)
        except StopIteration as answer:
            if not answer.value or isinstance(answer.value, TempFail):
                out[name] = parameter
            continue
        question.close()
        raise ConfigError(
            f"{parameter}: a table that must be waited for",
            settings.origin(parameter),
            "name mechanisms, files or local tables",
        )
    return out


async def respond(mechanism: ClientMechanism, challenge: bytes | None) -> bytes | None:
    """`mechanism.next`, in a thread and within BLOCKING_SECONDS where it may wait for a KDC. Raises SaslError."""
    if not mechanism.blocking:
        return mechanism.next(challenge)
    work = asyncio.get_running_loop().run_in_executor(_threads, mechanism.next, challenge)
    try:
        return await asyncio.wait_for(asyncio.shield(work), BLOCKING_SECONDS)
    except TimeoutError:
        work.add_done_callback(lambda done: done.exception())  # else asyncio complains about the late answer
        raise SaslError(f"no answer from the KDC within {BLOCKING_SECONDS:g} seconds") from None


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials for one server, with the rules that choose a mechanism."""

    rules: ClientLogin = field(repr=False)
    context: ClientContext
    source: TokenSource | None = field(default=None, repr=False)
    memory: RefusedLogins | None = field(default=None, repr=False)

    def choose(
        self,
        offered: Sequence[str],
        tls: bool,
        verified: bool = False,
        channel_bindings: Mapping[str, bytes] | None = None,
        certificate: bool = False,
    ) -> tuple[str, ClientMechanism] | None:
        """The best mechanism of those offered, ready to run; None when none fits.

        `certificate`: TLS is on and we have a client certificate.
        """
        bindings = dict(channel_bindings or {})
        context = replace(self.context, channel_bindings=bindings, certificate=certificate)
        return self.rules.choose(offered, self.rules.options(tls, verified), context)

    async def remembered(self) -> str:
        """What the server said when it refused these very credentials lately (smtp_sasl_auth_cache_name); else ""."""
        if self.memory is None or not self.context.password:
            return ""
        return await self.memory.said(self.context.host, self.context.username, self.context.password)

    async def refused(self, said: str = "") -> None:
        """The server did not take the credentials: a token is fetched anew next time; with `said` (its 535 reply)
        the password is remembered as refused."""
        if self.source is not None:
            self.source.forget()
        if said and self.memory is not None and self.context.password:
            await self.memory.note(self.context.host, self.context.username, self.context.password, said)

    def refusals(self, offered: Sequence[str], tls: bool, verified: bool = False) -> dict[str, str]:
        """Why none fits, by mechanism."""
        return self.rules.refusals(offered, self.rules.options(tls, verified), self.context)


class PasswordMaps:
    """smtp_sasl_password_maps: `username:password` by sender (if asked for), server name, or next hop."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        prefix: str = "smtp",
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.time,
        memory: RefusedLogins | None = None,
    ) -> None:
        """Raises ConfigError."""
        self._memory = memory
        self._delimiter = _delimiter(settings, f"{prefix}_sasl_password_result_delimiter")
        self._name_both = settings.flag("send_cyrus_sasl_authzid")
        self._rules = ClientLogin(settings, tables, prefix)
        self._maps = Maps.from_settings(tables, settings, f"{prefix}_sasl_password_maps")
        self._token_maps = Maps.from_settings(tables, settings, TOKEN_MAPS)
        self._tokens: dict[str, TokenSource] = {}
        sender = (
            "smtp_sender_dependent_authentication" if prefix == "smtp" else "lmtp_sender_dependent_authentication"
        )
        self._by_sender = settings.text(sender).lower() == "yes"
        self._delimiters = settings.text("recipient_delimiter")
        # the service is part of digest-uri and of Kerberos' names: "lmtp" for LMTP
        self._blank = ClientContext("", "", random, clock, service=prefix)

    async def find(self, nexthop: str, host: str, sender: str) -> Login | TempFail | None:
        """Credentials for a delivery; None: none are listed, so go on without AUTH."""
        keys = self._keys(nexthop, host, sender)
        if self._token_maps:
            found = await self._find_token(keys, host)
            if found is not None:
                return found
        for key, partial in keys:
            answer = await self._maps.lookup(key, partial)
            if isinstance(answer, TempFail):
                return answer
            if isinstance(answer, Found):
                username, _, password = answer.value.partition(self._delimiter)
                context = replace(self._blank, username=username, password=password, host=host)
                if self._name_both:
                    context = replace(context, authzid=username)
                return Login(self._rules, context, memory=self._memory)
        return None

    async def _find_token(self, keys: Sequence[tuple[str, bool]], host: str) -> Login | TempFail | None:
        for key, partial in keys:
            answer = await self._token_maps.lookup(key, partial)
            if isinstance(answer, TempFail):
                return answer
            if isinstance(answer, Found):
                username, _, place = answer.value.partition(":")
                try:
                    source = self._tokens.get(place) or TokenSource(place)
                    self._tokens[place] = source
                    token = await source.token()
                except TokenTrouble as error:
                    return TempFail(str(error))
                context = replace(self._blank, username=username, host=host, token=token)
                return Login(self._rules, context, source)
        return None

    def _keys(self, nexthop: str, host: str, sender: str) -> list[tuple[str, bool]]:
        keys: list[tuple[str, bool]] = []
        if self._by_sender and sender:
            keys.append((sender, False))
            local, at, domain = sender.rpartition("@")
            cuts = [local.find(mark) for mark in self._delimiters if local.find(mark) > 0]
            if at and cuts:
                keys.append((f"{local[: min(cuts)]}@{domain}", True))
            if at:
                keys.append((f"@{domain}", True))
        return [*keys, (host, False), (nexthop, False)]
