"""The SMTP client."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

ROWS: tuple[Row, ...] = (
    Row("smtp_bind_address", Kind.TEXT, "", "The own address from which mail is sent."),
    Row("smtp_helo_name", Kind.TEXT, "$myhostname", "The name told in EHLO."),
    Row("smtp_connect_timeout", Kind.TIME, "30s", "How long a connection may take to open.", low=0),
    Row("smtp_helo_timeout", Kind.TIME, "300s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_mail_timeout", Kind.TIME, "300s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_rcpt_timeout", Kind.TIME, "300s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_data_init_timeout", Kind.TIME, "120s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_data_xfer_timeout", Kind.TIME, "180s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_data_done_timeout", Kind.TIME, "600s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_starttls_timeout", Kind.TIME, "300s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_mx_address_limit", Kind.NUMBER, "5", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_mx_session_limit", Kind.NUMBER, "2", status=Status.PLANNED, reason="a later issue", low=0),
    Row("smtp_randomize_addresses", Kind.FLAG, "yes", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_balance_inet_protocols", Kind.FLAG, "yes", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_bind_address6", Kind.TEXT, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tcp_port", Kind.TEXT, "smtp", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtp_destination_concurrency_limit",
        Kind.NUMBER,
        "$default_destination_concurrency_limit",
        status=Status.PLANNED,
        reason="a later issue",
        low=0,
    ),
    Row(
        "smtp_destination_recipient_limit",
        Kind.NUMBER,
        "$default_destination_recipient_limit",
        status=Status.PLANNED,
        reason="a later issue",
        low=0,
    ),
    Row(
        "default_destination_recipient_limit", Kind.NUMBER, "50", status=Status.PLANNED, reason="a later issue", low=0
    ),
    Row("smtp_sasl_auth_soft_bounce", Kind.FLAG, "yes", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_header_checks", Kind.TABLES, "", status=Status.PLANNED, reason="a later issue"),
    Row("use_srv_lookup", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row("allow_srv_lookup_fallback", Kind.FLAG, "no", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_fallback_relay", Kind.LIST, "$fallback_relay", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtp_address_preference",
        Kind.CHOICE,
        "any",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("any", "ipv4", "ipv6"),
    ),
    Row("smtp_host_lookup", Kind.LIST, "dns", status=Status.PLANNED, reason="a later issue"),
)
