"""check_policy_service: asking a policy server (SMTPD_POLICY_README; postconf(5) smtpd_policy_service_*).

A connection is used again until it has been idle for max_idle, lives longer than max_ttl or has carried
request_limit requests. A failure is tried again (try_limit times, retry_delay apart), then default_action holds.
`{ inet:host:port, timeout=…, default_action=… }` sets these for one server.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings, split_items
from tayori.policy.actions import Actions, Subject
from tayori.policy.answers import Answer
from tayori.policy.facts import Facts, Stage
from tayori.policy.rule import Rule
from tayori.protocol.policy_delegation import PolicyProtocolError, Reply, encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation

OPTIONS = (
    "timeout",
    "max_idle",
    "max_ttl",
    "request_limit",
    "try_limit",
    "retry_delay",
    "default_action",
    "policy_context",
)
NUMBERS = ("request_limit", "try_limit")
TEXTS = ("default_action", "policy_context")
MAX_POOL = 20


@dataclass(slots=True)
class Connection:
    """One stream, since when it is open, when it was last used, and how often."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    opened: float
    used: float
    requests: int = 0


class PolicyServer:
    """`prepared` of check_policy_service: the server, its limits, and a pool of idle connections."""

    def __init__(self, compiler: Compiler, argument: str, origin: Origin | None) -> None:
        """Raises ConfigError."""
        settings = compiler.settings
        words = split_items(argument[1:-1]) if argument.startswith("{") else (argument,)
        if not words:
            raise ConfigError("check_policy_service needs a server", origin, "write for example inet:127.0.0.1:10023")
        self.endpoint = words[0]
        self._kind, self._host, self._port = endpoint(words[0], settings, origin)
        given = self._options(words[1:], origin)
        self._timeout = float(_limit(settings, given, "timeout", origin))
        self._max_idle = float(_limit(settings, given, "max_idle", origin))
        self._max_ttl = float(_limit(settings, given, "max_ttl", origin))
        self._limit = int(_limit(settings, given, "request_limit", origin))
        self._tries = max(1, int(_limit(settings, given, "try_limit", origin)))
        self._delay = float(_limit(settings, given, "retry_delay", origin))
        self.default_action = str(_limit(settings, given, "default_action", origin))
        self.context = str(_limit(settings, given, "policy_context", origin))
        self.actions = Actions(compiler)
        self._clock: Callable[[], float] = compiler.services.clock
        self._sleep: Callable[[float], Awaitable[None]] = compiler.services.sleep
        self._idle: list[Connection] = []

    @staticmethod
    def _options(words: tuple[str, ...], origin: Origin | None) -> dict[str, str]:
        found: dict[str, str] = {}
        for word in words:
            name, equals, value = word.strip("{} ").partition("=")
            if not equals or name.strip() not in OPTIONS:
                raise ConfigError(f'check_policy_service: "{word}"', origin, f"the options are {', '.join(OPTIONS)}")
            found[name.strip()] = value.strip()
        return found

    async def ask(self, request: bytes) -> tuple[str, str]:
        """(action, trouble): the server's action, or default_action and why."""
        why = ""
        for attempt in range(self._tries):
            if attempt:
                await self._sleep(self._delay)
            connection: Connection | None = None
            try:
                connection = self._reuse()
                if connection is None:
                    connection = await asyncio.wait_for(self._open(), self._timeout)
                action = await asyncio.wait_for(self._exchange(connection, request), self._timeout)
            except (OSError, TimeoutError, PolicyProtocolError, EOFError) as error:
                why = f"{self.endpoint}: {error or type(error).__name__}"
                if connection is not None:
                    connection.writer.close()
                continue
            self._keep(connection)
            return action, ""
        return self.default_action, why

    async def _open(self) -> Connection:
        if self._kind == "unix":
            reader, writer = await asyncio.open_unix_connection(self._host)
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        now = self._clock()
        return Connection(reader, writer, now, now)

    async def _exchange(self, connection: Connection, request: bytes) -> str:
        connection.writer.write(request)
        await connection.writer.drain()
        reply = Reply()
        while True:
            data = await connection.reader.read(4096)
            if not data:
                raise EOFError("the server closed the connection")
            if reply.feed(data):
                return reply.action

    def _reuse(self) -> Connection | None:
        now = self._clock()
        while self._idle:
            connection = self._idle.pop()
            fresh = now - connection.used < self._max_idle and now - connection.opened < self._max_ttl
            if fresh and not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        return None

    def _keep(self, connection: Connection) -> None:
        connection.used = self._clock()
        connection.requests += 1
        if (self._limit and connection.requests >= self._limit) or len(self._idle) >= MAX_POOL:
            connection.writer.close()
        else:
            self._idle.append(connection)


def endpoint(text: str, settings: Settings, origin: Origin | None) -> tuple[str, str, int]:
    """`inet:host:port`, `unix:path` (relative to queue_directory). Raises ConfigError."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest:
        return "unix", os.path.join(settings.text("queue_directory"), rest), 0
    host, _, port = rest.rpartition(":")
    if kind == "inet" and port.isdigit():
        return "inet", host.strip("[]") or "127.0.0.1", int(port)
    raise ConfigError(f'"{text}" is no policy server', origin, "write inet:host:port or unix:path")


def _limit(settings: Settings, given: dict[str, str], name: str, origin: Origin | None) -> int | str:
    """One limit: the server's own option, else smtpd_policy_service_NAME. Raises ConfigError."""
    parameter = f"smtpd_policy_service_{name}"
    if name in TEXTS:
        return given.get(name, settings.text(parameter))
    if name not in given:
        return settings.number(parameter) if name in NUMBERS else settings.seconds(parameter)
    own = Settings.of({parameter: given[name]})
    try:
        return own.number(parameter) if name in NUMBERS else own.seconds(parameter)
    except ConfigError as error:
        raise ConfigError(f"check_policy_service: {error.message}", origin, error.mend) from error


def attributes(facts: Facts, context: str = "") -> list[tuple[str, str]]:
    """Every attribute that Postfix sends."""
    client, tls, login = facts.client, facts.tls, facts.login
    content = facts.stage in (Stage.DATA, Stage.END_OF_DATA)
    known = {2: client.name, 4: "unknown", 5: "unknown"}
    return [
        ("request", "smtpd_access_policy"),
        ("protocol_state", facts.stage.value),
        ("protocol_name", facts.protocol),
        ("client_address", client.address),
        ("client_name", known.get(client.name_code, client.name)),
        ("client_port", str(client.port)),
        ("reverse_client_name", client.reverse_name),
        ("server_address", client.server_address),
        ("server_port", str(client.server_port)),
        ("helo_name", facts.helo or ""),
        ("sender", facts.sender or ""),
        ("recipient", facts.recipient or ""),
        ("recipient_count", str(facts.recipient_count if content else 0)),
        ("queue_id", facts.queue_id),
        ("instance", facts.instance),
        ("size", str(facts.size)),
        ("etrn_domain", facts.etrn or ""),
        ("stress", ""),
        ("sasl_method", login.method if login else ""),
        ("sasl_username", login.username if login else ""),
        ("sasl_sender", login.sender if login else ""),
        ("ccert_subject", quote(tls.subject_cn, safe=" ").replace("%", "+") if tls and tls.verified else ""),
        ("ccert_issuer", quote(tls.issuer_cn, safe=" ").replace("%", "+") if tls and tls.verified else ""),
        ("ccert_fingerprint", tls.cert_fingerprint if tls else ""),
        ("ccert_pubkey_fingerprint", tls.pubkey_fingerprint if tls else ""),
        ("encryption_protocol", tls.protocol if tls else ""),
        ("encryption_cipher", tls.cipher if tls else ""),
        ("encryption_keysize", str(tls.bits) if tls else "0"),
        ("policy_context", context),
    ]


async def check_policy_service(run: Evaluation, rule: Rule) -> Answer:
    """Ask the policy server; its answer is an access(5) action."""
    server: PolicyServer = rule.prepared
    action, trouble = await server.ask(encode(attributes(run.facts, server.context)))
    run.note(server.endpoint, f"{trouble}; default action {action}" if trouble else action)
    return await server.actions.apply(run, rule, action, Subject(run.name, run.label), rule.origin)
