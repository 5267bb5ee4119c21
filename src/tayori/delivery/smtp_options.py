"""The SMTP and LMTP client's settings, read once per master.cf service: postconf(5) smtp_… and lmtp_…."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tayori.config.interfaces import own_addresses
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.protocol.smtp_client_values import ClientOptions, Stage

TLS_LEVELS = ("none", "may", "encrypt")
# which time limit holds while the client waits in a stage
_TIMEOUTS: dict[Stage, str] = {
    Stage.GREETING: "helo_timeout",
    Stage.EHLO: "helo_timeout",
    Stage.HELO: "helo_timeout",
    Stage.LHLO: "helo_timeout",
    Stage.STARTTLS: "starttls_timeout",
    Stage.AUTH: "helo_timeout",
    Stage.MAIL: "mail_timeout",
    Stage.RCPT: "rcpt_timeout",
    Stage.DATA: "data_init_timeout",
    Stage.BODY: "data_xfer_timeout",
    Stage.DOT: "data_done_timeout",
    Stage.RSET: "rset_timeout",
    Stage.QUIT: "quit_timeout",
}


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """Times are seconds; `sessions`, `reuse_count`, `address_limit`, `line_limit` of 0 mean no limit."""

    client: ClientOptions
    lmtp: bool
    timeouts: dict[Stage, int]
    connect_timeout: int
    default_port: str
    bind4: str
    bind6: str
    tls_level: str
    tls_wrapper: bool
    sessions: int
    skip_5xx_greeting: bool
    cache_time: int
    reuse_time: int
    reuse_count: int
    fallback: str
    randomize: bool
    address_limit: int
    prefer: str
    balance: bool
    hostname: str
    queue_directory: str
    dns: bool
    ignore_mx_error: bool
    own: frozenset[str] = field(default_factory=frozenset)
    line_limit: int = 998
    probe: str = "rcpt"
    discard_maps: str = ""
    defer_no_address: bool = False
    convert: bool = True
    """Make 8-bit MIME 7-bit for a server without 8BITMIME."""
    detect_eight: bool = True
    nesting_limit: int = 100
    boundary_limit: int = 2048
    detect_probe: bool = True
    """Probes of addresses beyond ASCII ask for SMTPUTF8."""
    transitional: bool = False

    @classmethod
    def of(cls, settings: Settings, *, lmtp: bool = False) -> SmtpOptions:
        """Raises ConfigError."""
        prefix = "lmtp" if lmtp else "smtp"

        def name(tail: str) -> str:
            own = f"{prefix}_{tail}"
            return own if settings.row(own) is not None or settings.is_set(own) else f"smtp_{tail}"

        line_limit = max(0, settings.number(name("line_length_limit")))
        helo = settings.text("lmtp_lhlo_name" if lmtp else "smtp_helo_name")
        level = settings.text(name("dns_support_level"))
        discard = "lmtp_discard_lhlo_keyword" if lmtp else "smtp_discard_ehlo_keyword"
        return cls(
            client=ClientOptions(
                helo_name=helo or settings.text("myhostname"),
                lmtp=lmtp,
                ehlo=not (not lmtp and settings.flag("smtp_never_send_ehlo")),
                ehlo_unasked=lmtp or settings.flag("smtp_always_send_ehlo"),
                discard=keywords(settings.text(f"{discard}s")),
                line_limit=line_limit,
            ),
            lmtp=lmtp,
            timeouts={
                stage: settings.seconds("lmtp_lhlo_timeout" if lmtp and tail == "helo_timeout" else name(tail))
                for stage, tail in _TIMEOUTS.items()
            },
            # 0 leaves it to the system (postconf(5) lmtp_connect_timeout); a bound of our own is kept all the same
            connect_timeout=settings.seconds(name("connect_timeout")) or 120,
            default_port=settings.text("lmtp_tcp_port" if lmtp else "smtp_tcp_port"),
            bind4=settings.text(name("bind_address")).strip("[]"),
            bind6=settings.text(name("bind_address6")).strip("[]"),
            tls_level=_tls_level(settings, name),
            tls_wrapper=settings.flag(name("tls_wrappermode")),
            sessions=settings.number(name("mx_session_limit")),
            skip_5xx_greeting=settings.flag(name("skip_5xx_greeting")),
            cache_time=_cache_time(settings, name),
            reuse_time=settings.seconds(name("connection_reuse_time_limit")),
            reuse_count=settings.number(name("connection_reuse_count_limit")),
            fallback=settings.text("lmtp_fallback_relay" if lmtp else "smtp_fallback_relay"),
            randomize=settings.flag(name("randomize_addresses")),
            address_limit=settings.number(name("mx_address_limit")),
            prefer=settings.text(name("address_preference")),
            balance=settings.flag(name("balance_inet_protocols")),
            hostname=settings.text("myhostname"),
            queue_directory=settings.text("queue_directory"),
            dns=level != "disabled" and not (level == "" and settings.flag("disable_dns_lookups")),
            ignore_mx_error=settings.flag("ignore_mx_lookup_error"),
            own=frozenset([*own_addresses(settings), *settings.items("proxy_interfaces")]),
            line_limit=line_limit,
            probe=_probe(settings, name("address_verify_target")),
            convert=not settings.flag("disable_mime_output_conversion"),
            detect_eight=settings.flag("detect_8bit_encoding_header"),
            nesting_limit=settings.number("mime_nesting_limit"),
            boundary_limit=settings.number("mime_boundary_length_limit"),
            detect_probe=not {"all", "verify"}.isdisjoint(settings.items("smtputf8_autodetect_classes")),
            transitional=settings.flag("enable_idna2003_compatibility"),
            discard_maps=f"{discard}_address_maps",
            defer_no_address=not lmtp and settings.flag("smtp_defer_if_no_mx_address_found"),
        )


def keywords(text: str) -> frozenset[str]:
    """EHLO keywords as smtp_discard_ehlo_keywords names them, in upper case."""
    return frozenset(text.replace(",", " ").upper().split())


def _cache_time(settings: Settings, name: Callable[[str], str]) -> int:
    """0 when neither on demand nor for listed destinations; here a listed one caches for all."""
    on = settings.flag(name("connection_cache_on_demand")) or settings.items(name("connection_cache_destinations"))
    return settings.seconds(name("connection_cache_time_limit")) if on else 0


def _probe(settings: Settings, parameter: str) -> str:
    """Raises ConfigError."""
    target = settings.text(parameter).lower()
    if target not in ("rcpt", "data"):
        raise ConfigError(
            f'{parameter}: "{target}" is no stage of a probe', settings.origin(parameter), "use rcpt or data"
        )
    return target


def _tls_level(settings: Settings, name: Callable[[str], str]) -> str:
    """smtp_tls_security_level, or what the old smtp_use_tls and smtp_enforce_tls say. Raises ConfigError."""
    parameter = name("tls_security_level")
    level = settings.text(parameter).lower()
    if not level:
        if settings.flag(name("enforce_tls")):
            parameter, level = name("enforce_tls"), "encrypt"
            if settings.flag(name("tls_enforce_peername")):
                level = "verify"
        else:
            level = "may" if settings.flag(name("use_tls")) else "none"
    if level not in TLS_LEVELS:
        raise ConfigError(
            f'TLS security level "{level}" is not there yet, and a weaker one must not stand in for it',
            settings.origin(parameter),
            "use none, may or encrypt",
        )
    return level
