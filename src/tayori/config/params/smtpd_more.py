"""Finer knobs of the SMTP server."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON = "finer SMTP server knobs; later tier if someone asks"

ROWS: tuple[Row, ...] = (
    Row(
        "smtpd_authorized_verp_clients",
        Kind.NETWORKS,
        "$authorized_verp_clients",
        status=Status.PLANNED,
        reason=REASON,
    ),
    Row("smtpd_recipient_overshoot_limit", Kind.NUMBER, "1000", status=Status.PLANNED, reason=REASON, low=0),
    Row(
        "smtpd_expansion_filter",
        Kind.TEXT,
        ("\\t\\40!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"),
        status=Status.PLANNED,
        reason=REASON,
        raw=True,
    ),
    Row(
        "smtpd_forbidden_commands",
        Kind.LIST,
        "CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}",
        status=Status.PLANNED,
        reason=REASON,
    ),
    Row("smtpd_history_flush_threshold", Kind.NUMBER, "100", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtpd_noop_commands", Kind.LIST, "", status=Status.PLANNED, reason=REASON),
    Row("smtpd_proxy_ehlo", Kind.TEXT, "$myhostname", status=Status.PLANNED, reason=REASON),
    Row("smtpd_proxy_options", Kind.LIST, "", status=Status.PLANNED, reason=REASON),
    Row("smtpd_null_access_lookup_key", Kind.TEXT, "<>", status=Status.PLANNED, reason=REASON),
    Row("smtpd_policy_service_request_limit", Kind.NUMBER, "0", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtpd_sasl_application_name", Kind.TEXT, "smtpd", status=Status.PLANNED, reason=REASON),
    Row("smtpd_peername_lookup", Kind.FLAG, "yes", "Whether the names of clients are looked up in DNS."),
    Row(
        "smtpd_sasl_response_limit",
        Kind.NUMBER,
        "12288",
        "The longest line of a client within a login, in bytes of base64.",
        low=12288,
    ),
    Row("smtpd_delay_open_until_valid_rcpt", Kind.FLAG, "yes", status=Status.PLANNED, reason=REASON),
    Row("smtpd_client_port_logging", Kind.FLAG, "no", status=Status.PLANNED, reason=REASON),
    Row("smtpd_command_filter", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtpd_log_access_permit_actions", Kind.TEXT, "", status=Status.PLANNED, reason=REASON),
    Row("smtpd_dns_reply_filter", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtpd_policy_service_policy_context", Kind.TEXT, "", status=Status.PLANNED, reason=REASON),
    Row("smtpd_min_data_rate", Kind.NUMBER, "500", status=Status.PLANNED, reason=REASON, low=0),
    Row(
        "smtpd_per_request_deadline",
        Kind.FLAG,
        "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{${stress?{yes}:{no}}}}",
        status=Status.PLANNED,
        reason=REASON,
    ),
    Row(
        "smtpd_forbid_bare_newline_reject_code",
        Kind.CODE,
        "550",
        status=Status.PLANNED,
        reason=REASON,
        low=200,
        high=599,
    ),
)
