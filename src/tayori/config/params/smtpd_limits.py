"""Limits, strictness and extras of the SMTP server."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row

ROWS: tuple[Row, ...] = (
    Row("disable_vrfy_command", Kind.FLAG, "no", "Whether VRFY is refused."),
    Row("strict_rfc821_envelopes", Kind.FLAG, "no", "Whether addresses must stand in <> exactly as SMTP says."),
    Row("smtpd_recipient_limit", Kind.NUMBER, "1000", "How many recipients one message may have.", low=1),
    Row(
        "smtpd_error_sleep_time", Kind.TIME, "1s", "How long answers wait after errors, to slow a bad client.", low=0
    ),
    Row("smtpd_soft_error_limit", Kind.NUMBER, "10", "Errors after which every answer waits.", low=1),
    Row(
        "smtpd_hard_error_limit", Kind.NUMBER, "${stress?{1}:{20}}", "Errors after which the connection ends.", low=1
    ),
    Row("smtpd_timeout", Kind.TIME, "${stress?{10}:{300}}s", "How long the server waits for the client.", low=1),
    Row(
        "smtpd_forbid_bare_newline",
        Kind.CHOICE,
        "normalize",
        "What happens to lines that end in LF without CR.",
        choices=("yes", "no", "normalize", "reject", "note"),
    ),
    Row(
        "smtpd_forbid_unauth_pipelining", Kind.FLAG, "yes", "Whether clients are cut off that talk before their turn."
    ),
    Row("smtpd_discard_ehlo_keywords", Kind.LIST, "", "EHLO keywords that are not offered."),
    Row(
        "smtpd_client_connection_count_limit",
        Kind.NUMBER,
        "50",
        "How many connections one client may have at once.",
        low=0,
    ),
    Row(
        "smtpd_client_connection_rate_limit",
        Kind.NUMBER,
        "0",
        "How many connections one client may open per time unit; 0 means no limit.",
        low=0,
    ),
    Row(
        "smtpd_client_message_rate_limit",
        Kind.NUMBER,
        "0",
        "How many messages one client may send per time unit; 0 means no limit.",
        low=0,
    ),
    Row(
        "smtpd_client_auth_rate_limit",
        Kind.NUMBER,
        "0",
        "How many logins one client may try per time unit; 0 means no limit.",
        low=0,
    ),
    Row(
        "smtputf8_enable",
        Kind.FLAG,
        "${{$compatibility_level} <level {1} ? {no} : {yes}}",
        "Whether addresses and headers in UTF-8 are supported.",
    ),
    Row(
        "smtpd_junk_command_limit",
        Kind.NUMBER,
        "${stress?{1}:{100}}",
        "How many useless commands (NOOP, VRFY, RSET …) count as no error.",
        low=0,
    ),
    Row(
        "smtpd_client_recipient_rate_limit",
        Kind.NUMBER,
        "0",
        "How many recipients one client may name per time unit; 0 means no limit.",
        low=0,
    ),
    Row(
        "smtpd_client_event_limit_exceptions",
        Kind.NETWORKS,
        "${smtpd_client_connection_limit_exceptions:$mynetworks}",
        "Clients that no connection or rate limit applies to.",
    ),
    Row(
        "smtpd_client_ipv4_prefix_length",
        Kind.NUMBER,
        "32",
        "How many bits of an IPv4 address count as one client for limits.",
        low=0,
    ),
    Row(
        "smtpd_client_ipv6_prefix_length",
        Kind.NUMBER,
        "84",
        "How many bits of an IPv6 address count as one client for limits.",
        low=0,
    ),
    Row(
        "smtpd_discard_ehlo_keyword_address_maps",
        Kind.TABLES,
        "",
        "Tables that name EHLO keywords not offered, by the client's address.",
    ),
    Row("smtpd_reject_footer", Kind.TEXT, "", "A text that follows every refusal.", raw=True),
    Row("smtpd_reject_footer_maps", Kind.TABLES, "", "Tables that choose that text by the refusal."),
    Row(
        "smtpd_reject_filter_maps",
        Kind.TABLES,
        "",
        "Tables that put another reply in place of a refusal.",
        since="3.11",
    ),
    Row("smtpd_etrn_restrictions", Kind.RESTRICTIONS, "", "Rules asked about ETRN."),
    Row("smtpd_hide_client_session", Kind.FLAG, "no", "Whether the Received header leaves out who the client was."),
    Row("rbl_reply_maps", Kind.TABLES, "", "Tables that give single DNS lists a reply of their own."),
    Row(
        "smtpd_forbid_bare_newline_exclusions", Kind.NETWORKS, "$mynetworks", "Clients that may send bare line feeds."
    ),
    Row("anvil_rate_time_unit", Kind.TIME, "60s", "The time unit of the rate limits.", low=1),
)
