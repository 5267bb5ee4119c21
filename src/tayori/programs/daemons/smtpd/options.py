"""Everything a session needs from the configuration, read once per service (postconf(5) smtpd_*)."""

from __future__ import annotations

from dataclasses import dataclass

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings

OVERRIDES = ("no_unknown_recipient_checks", "no_address_mappings", "no_header_body_checks", "no_milters")
BARE_CHOICES = {"no": "no", "yes": "normalize", "normalize": "normalize", "note": "note", "reject": "reject"}


@dataclass(frozen=True, slots=True)
class SmtpdOptions:
    """Times in seconds, sizes in bytes; 0 means "no limit" where Postfix says so."""

    hostname: str
    banner: str
    mail_name: str
    log_name: str
    timeout: int
    size_limit: int
    minfree: int
    line_limit: int
    sasl_response_limit: int
    recipient_limit: int
    overshoot_limit: int
    soft_errors: int
    hard_errors: int
    error_sleep: int
    junk_limit: int
    helo_required: bool
    disable_vrfy: bool
    strict_envelopes: bool
    soft_bounce: bool
    bare_newline: str
    bare_newline_code: int
    stray_cr: bool
    forbid_pipelining: bool
    discard_keywords: frozenset[str]
    smtputf8: bool
    strict_smtputf8: bool
    tls_level: str
    tls_auth_only: bool
    tls_received: bool
    tls_wrapper: bool
    tls_loglevel: int
    tls_fingerprint: str
    tls_require_cert: bool
    tls_ask_cert: bool
    sasl_enable: bool
    sasl_broken_clients: bool
    sasl_authenticated_header: bool
    delay_reject: bool
    noop_commands: frozenset[str]
    content_filter: str = ""
    cleanup: str = ""
    log_port: bool = False
    hide_client: bool = False
    overrides: frozenset[str] = frozenset()
    """receive_override_options."""
    numeric_domain: bool = False
    min_user: bool = False
    null_domain: bool = False
    notify: frozenset[str] = frozenset()
    """notify_classes, in lower case."""
    history_lines: int = 100

    @classmethod
    def of(cls, settings: Settings) -> SmtpdOptions:
        """Raises ConfigError for the first value that does not fit."""
        level = settings.text("smtpd_tls_security_level")
        if not level:
            level = (
                "encrypt"
                if settings.flag("smtpd_enforce_tls")
                else "may"
                if settings.flag("smtpd_use_tls")
                else "none"
            )
        return cls(
            hostname=settings.text("myhostname"),
            banner=settings.text("smtpd_banner"),
            mail_name=settings.text("mail_name"),
            log_name=settings.text("syslog_name"),
            timeout=settings.seconds("smtpd_timeout"),
            size_limit=settings.number("message_size_limit"),
            minfree=settings.number("queue_minfree"),
            line_limit=settings.number("line_length_limit"),
            sasl_response_limit=settings.number("smtpd_sasl_response_limit"),
            recipient_limit=settings.number("smtpd_recipient_limit"),
            overshoot_limit=settings.number("smtpd_recipient_overshoot_limit"),
            soft_errors=settings.number("smtpd_soft_error_limit"),
            hard_errors=settings.number("smtpd_hard_error_limit"),
            error_sleep=settings.seconds("smtpd_error_sleep_time"),
            junk_limit=settings.number("smtpd_junk_command_limit"),
            helo_required=settings.flag("smtpd_helo_required"),
            disable_vrfy=settings.flag("disable_vrfy_command"),
            strict_envelopes=settings.flag("strict_rfc821_envelopes"),
            soft_bounce=settings.flag("soft_bounce"),
            bare_newline=BARE_CHOICES.get(settings.text("smtpd_forbid_bare_newline"), "normalize"),
            bare_newline_code=settings.number("smtpd_forbid_bare_newline_reject_code"),
            stray_cr=settings.flag("cleanup_replace_stray_cr_lf"),
            forbid_pipelining=settings.flag("smtpd_forbid_unauth_pipelining"),
            discard_keywords=words(settings.text("smtpd_discard_ehlo_keywords")),
            smtputf8=settings.flag("smtputf8_enable"),
            strict_smtputf8=settings.flag("strict_smtputf8"),
            tls_level=level,
            tls_auth_only=settings.flag("smtpd_tls_auth_only") or level == "encrypt",
            tls_received=settings.flag("smtpd_tls_received_header"),
            tls_wrapper=settings.flag("smtpd_tls_wrappermode"),
            tls_loglevel=settings.number("smtpd_tls_loglevel"),
            tls_fingerprint=settings.text("smtpd_tls_fingerprint_digest"),
            tls_require_cert=settings.flag("smtpd_tls_req_ccert"),
            tls_ask_cert=settings.flag("smtpd_tls_ask_ccert"),
            sasl_enable=settings.flag("smtpd_sasl_auth_enable"),
            sasl_broken_clients=settings.flag("broken_sasl_auth_clients"),
            sasl_authenticated_header=settings.flag("smtpd_sasl_authenticated_header"),
            delay_reject=settings.flag("smtpd_delay_reject"),
            noop_commands=words(settings.text("smtpd_noop_commands")),
            content_filter=settings.text("content_filter"),
            cleanup=settings.text("cleanup_service_name"),
            log_port=settings.flag("smtpd_client_port_logging"),
            hide_client=settings.flag("smtpd_hide_client_session"),
            overrides=overrides(settings),
            numeric_domain=settings.flag("resolve_numeric_domain"),
            min_user=settings.flag("allow_min_user"),
            null_domain=settings.flag("resolve_null_domain"),
            notify=frozenset(word.lower() for word in settings.items("notify_classes")),
            history_lines=settings.number("smtpd_history_flush_threshold"),
        )


def words(text: str) -> frozenset[str]:
    """Commands or EHLO keywords, in upper case."""
    return frozenset(text.replace(",", " ").upper().split())


def overrides(settings: Settings) -> frozenset[str]:
    """The words of receive_override_options. Raises ConfigError for one that is none."""
    name = "receive_override_options"
    for word in settings.items(name):
        if word not in OVERRIDES:
            raise ConfigError(
                f'{name}: "{word}" is no option',
                settings.origin_of(name, word),
                f"the options are {', '.join(OVERRIDES)}",
            )
    return frozenset(settings.items(name))
