"""Putting the house together: from Settings to everything a worker needs. Opens files, starts nothing.

Built as root where the master is root, before the worker gives root up, so that keys, password maps and database
credentials may be readable by root only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tayori.config import smtpdconf
from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.delivery.smtp import SmtpAgent
from tayori.net.dns import Resolver as Dns
from tayori.net.tls import TlsContext, server_context
from tayori.policy.footer import Footer
from tayori.policy.policy import Policy
from tayori.policy.rates import Board, Limits, Rates
from tayori.policy.services import Services
from tayori.programs.daemons import pipes
from tayori.programs.daemons.dispatch.remote import Agent
from tayori.programs.daemons.layout import Layout
from tayori.programs.daemons.logins import RelayLogins
from tayori.programs.daemons.names import DnsNames
from tayori.programs.daemons.smtpd.options import SmtpdOptions
from tayori.programs.daemons.smtpd.service import Intake, SmtpdService
from tayori.programs.daemons.verify import Verifier
from tayori.programs.daemons.verify_probe import Prober
from tayori.rewrite.aliases import Aliases
from tayori.rewrite.checks import Checks
from tayori.rewrite.classes import Classes
from tayori.rewrite.cleanup import Cleanup
from tayori.rewrite.cleanups import Cleanups
from tayori.rewrite.clients import HeaderRewriteClients
from tayori.rewrite.generic import Generic
from tayori.rewrite.keys import Finder
from tayori.rewrite.recipients import Listing
from tayori.rewrite.resolve import Resolver
from tayori.sasl.authenticator import Authenticator
from tayori.tables.dns_filter import filtered
from tayori.tables.maps import Maps
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.registry import Tables

MAX_KNOWN = 10_000
KNOWN_SECONDS = 10.0
PROGRAMS_REMOTE = ("smtp", "lmtp")


@dataclass(frozen=True, slots=True)
class House:
    """What all services of a worker share."""

    settings: Settings
    services: tuple[Service, ...]
    tables: Tables
    classes: Classes
    listing: Listing
    resolver: Resolver
    aliases: Aliases
    finder: Finder
    cleanup: Cleanup
    dns: Dns
    agents: dict[str, Agent]
    transports: dict[str, str]
    generic: dict[str, Generic]
    checks: dict[str, Checks]
    verifier: Verifier | None = None

    def program(self, transport: str) -> str:
        """The master.cf program behind a transport name; unknown names stand for themselves."""
        return self.transports.get(transport, transport)


@dataclass(frozen=True, slots=True)
class Built:
    """One smtpd service, all but the worker-bound parts. Listening sockets are found by `service`."""

    service: Service
    settings: Settings
    options: SmtpdOptions
    policy: Policy
    authenticator: Authenticator | None
    tls: TlsContext | None
    xclient_hosts: MatchList | None
    bare_exempt: MatchList | None
    auth_exempt: MatchList | None
    event_exempt: MatchList | None
    trusted: HeaderRewriteClients
    footer: Footer | None
    forbidden: MatchList
    command_filter: Maps
    ehlo_keywords: Maps

    def bind(self, intake: Intake, board: Board, region: int, dns: Dns) -> SmtpdService:
        """The finished service of one worker."""

        known: dict[str, tuple[float, tuple[str, str, int, int]]] = {}

        async def client_names(address: str) -> tuple[str, str, int, int]:
            now = time.monotonic()
            kept = known.get(address)
            if kept is not None and kept[0] > now:
                return kept[1]
            names = await dns.client_names(address)
            found = names.name, names.reverse_name, names.name_code, names.reverse_code
            if len(known) > MAX_KNOWN:
                known.clear()
            known[address] = now + (KNOWN_SECONDS if 4 not in found else 1.0), found
            return found

        return SmtpdService(
            options=self.options,
            policy=self.policy,
            authenticator=self.authenticator,
            tls=self.tls,
            rates=Rates(board, region, self.service.name, Limits.of(self.settings)),
            xclient_hosts=self.xclient_hosts,
            bare_exempt=self.bare_exempt,
            auth_exempt=self.auth_exempt,
            event_exempt=self.event_exempt,
            client_names=client_names if self.settings.flag("smtpd_peername_lookup") else _nameless,
            trusted=self.trusted,
            footer=self.footer,
            intake=intake,
            forbidden=self.forbidden or None,
            command_filter=self.command_filter or None,
            ehlo_keywords=self.ehlo_keywords or None,
        )


async def _nameless(address: str) -> tuple[str, str, int, int]:
    return "unknown", "unknown", 5, 5


DEFAULT_TRANSPORTS = {
    "local": "local", "virtual": "virtual", "smtp": "smtp", "relay": "smtp", "lmtp": "lmtp",
    "error": "error", "retry": "retry", "discard": "discard",
}  # fmt: skip


def furnish(
    settings: Settings, services: Iterable[Service], tables: Tables | None = None, *, verify: bool = False
) -> House:
    """Build the shared part. `tables` lets a tool watch the look-ups; `verify`: addresses may be probed (a tool that
    only tells must not). Raises ConfigError."""
    services = tuple(services)
    tables = tables or Tables(settings)
    classes = Classes(settings, tables)
    dns = Dns(transitional=settings.flag("enable_idna2003_compatibility"))
    transports = dict(DEFAULT_TRANSPORTS)
    checks: dict[str, Checks] = {}
    agents: dict[str, Agent] = {}
    by_name = {s.name: s for s in services if s.kind != "inet"}
    transports |= {name: "retry" if name == "retry" else service.command for name, service in by_name.items()}
    for name, program in transports.items():
        if program == "pipe":
            agents[name] = pipes.PipeClient(str(Layout.of(settings).pipe_socket), name)
        elif program in PROGRAMS_REMOTE:
            agents[name] = _agent(name, program, by_name.get(name), settings, dns, tables)
            checks[name] = Checks(_own(by_name.get(name), settings), tables, f"{program}_")
    house = House(
        settings=settings,
        services=services,
        tables=tables,
        classes=classes,
        listing=Listing(settings, tables, classes),
        resolver=Resolver(settings, tables, classes),
        aliases=Aliases(settings, tables, classes),
        finder=Finder(settings, classes.is_local),
        cleanup=_cleanup(settings, services, tables, classes),
        dns=dns,
        agents=agents,
        transports=transports,
        generic={
            name: Generic(settings, tables, classes, f"{name}_generic_maps")
            for name in ("smtp", "lmtp")
            if settings.raw(f"{name}_generic_maps")
        },
        checks={name: found for name, found in checks.items() if found},
    )
    return replace(house, verifier=_verifier(house)) if verify else house


def _cleanup(settings: Settings, services: tuple[Service, ...], tables: Tables, classes: Classes) -> Cleanup:
    """One for each cleanup service of master.cf that has settings of its own."""
    own = {s.name: _own(s, settings) for s in services if s.command == "cleanup" and s.overrides}
    usual = own.pop(settings.text("cleanup_service_name"), settings)
    return Cleanups(usual, tables, classes, own) if own else Cleanup(usual, tables, classes)


def _verifier(house: House) -> Verifier:
    prober = Prober(
        house.settings,
        house.tables,
        house.classes,
        house.cleanup,
        house.aliases,
        house.program,
        house.agents,
        house.generic,
    )
    return Verifier(house.settings, prober, Layout.of(house.settings).queue)


def _own(service: Service | None, settings: Settings) -> Settings:
    return settings.with_overrides(service.overrides) if service else settings


def _agent(name: str, program: str, service: Service | None, settings: Settings, dns: Dns, tables: Tables) -> Agent:
    own = _own(service, settings)
    prefix = "lmtp" if program == "lmtp" else "smtp"
    names = DnsNames(own, filtered(dns, own, tables, f"{prefix}_dns_reply_filter"), prefix)
    return SmtpAgent(own, names, lmtp=program == "lmtp", logins=RelayLogins.of(own, tables, prefix), tables=tables)


def smtpd_services(house: House) -> list[Built]:
    """Every inet service that runs smtpd. Raises ConfigError."""
    tls: dict[tuple[str, ...], TlsContext | None] = {}
    authenticators: dict[tuple[str, ...], Authenticator | None] = {}
    built: list[Built] = []
    for service in house.services:
        if service.kind != "inet" or service.command != "smtpd":
            continue
        settings = house.settings.with_overrides(service.overrides)
        options = SmtpdOptions.of(settings)
        built.append(
            Built(
                service=service,
                settings=settings,
                options=options,
                policy=Policy(settings, _services(house, settings)),
                authenticator=_authenticator(house, settings, options, authenticators),
                tls=_tls(settings, options, tls),
                xclient_hosts=_hosts(house, settings, "smtpd_authorized_xclient_hosts"),
                bare_exempt=_hosts(house, settings, "smtpd_forbid_bare_newline_exclusions"),
                auth_exempt=_hosts(house, settings, "smtpd_sasl_exceptions_networks"),
                event_exempt=_hosts(house, settings, "smtpd_client_event_limit_exceptions"),
                trusted=HeaderRewriteClients(settings, house.tables),
                footer=_footer(settings, house.tables),
                forbidden=MatchList.from_settings(house.tables, settings, "smtpd_forbidden_commands", Kind.STRING),
                command_filter=Maps.from_settings(house.tables, settings, "smtpd_command_filter"),
                ehlo_keywords=Maps.from_settings(house.tables, settings, "smtpd_discard_ehlo_keyword_address_maps"),
            )
        )
    return built


def _services(house: House, settings: Settings) -> Services:
    return Services(
        tables=house.tables,
        classes=house.classes,
        listing=house.listing,
        resolver=filtered(house.dns, settings, house.tables, "smtpd_dns_reply_filter"),
        mynetworks=MatchList.from_settings(house.tables, settings, "mynetworks", Kind.NETWORK),
        verify=house.verifier.waiting(settings) if house.verifier is not None else None,
    )


def _footer(settings: Settings, tables: Tables) -> Footer | None:
    tables_named = ("smtpd_reject_footer_maps", "smtpd_reject_filter_maps")
    if not settings.text("smtpd_reject_footer") and not any(map(settings.items, tables_named)):
        return None
    return Footer(settings, tables, lambda: time.strftime("%b %d %H:%M:%S"))


def _hosts(house: House, settings: Settings, name: str) -> MatchList | None:
    found = MatchList.from_settings(house.tables, settings, name, Kind.HOST)
    return found if found else None


def _tls(
    settings: Settings, options: SmtpdOptions, known: dict[tuple[str, ...], TlsContext | None]
) -> TlsContext | None:
    """One context per distinct set of settings: OpenSSL contexts are costly."""
    if options.tls_level == "none" and not options.tls_wrapper:
        return None
    names = (
        "smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_security_level",
        "smtpd_tls_protocols", "smtpd_tls_mandatory_protocols", "smtpd_tls_ciphers", "smtpd_tls_ask_ccert",
        "smtpd_tls_mandatory_ciphers", "smtpd_tls_req_ccert", "smtpd_tls_CAfile", "smtpd_tls_CApath",
    )  # fmt: skip
    key = tuple(settings.text(name) for name in names)
    if key not in known:
        known[key] = server_context(settings)
        if known[key] is None and (options.tls_wrapper or options.tls_level == "encrypt"):
            raise ConfigError(
                "TLS is demanded but there is no certificate",
                settings.origin("smtpd_tls_wrappermode") or settings.origin("smtpd_tls_security_level"),
                "set smtpd_tls_chain_files, or smtpd_tls_cert_file and smtpd_tls_key_file",
            )
    return known[key]


def _authenticator(
    house: House, settings: Settings, options: SmtpdOptions, known: dict[tuple[str, ...], Authenticator | None]
) -> Authenticator | None:
    """Services with the same SASL settings share one, so that failed logins count together."""
    if not options.sasl_enable:
        return None
    prefixes = ("smtpd_sasl_", "cyrus_sasl_", "tayori_sasl_")
    names = [name for name in settings.known_names() if name.startswith(prefixes)]
    key = tuple(settings.text(name) for name in names)
    if key not in known:
        known[key] = Authenticator(
            settings, smtpdconf.find(settings), tables=house.tables, state=Layout.of(house.settings).queue
        )
    return known[key]
