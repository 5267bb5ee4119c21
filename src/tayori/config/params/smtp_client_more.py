"""Finer knobs of the SMTP client."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON = "finer SMTP client knobs; later tier if someone asks"

ROWS: tuple[Row, ...] = (
    Row("smtp_always_send_ehlo", Kind.FLAG, "yes", status=Status.PLANNED, reason=REASON),
    Row("smtp_connection_cache_time_limit", Kind.TIME, "2s", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtp_connection_reuse_time_limit", Kind.TIME, "300s", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtp_connection_cache_destinations", Kind.DOMAINS, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_connection_cache_on_demand", Kind.FLAG, "yes", status=Status.PLANNED, reason=REASON),
    Row("smtp_defer_if_no_mx_address_found", Kind.FLAG, "no", status=Status.PLANNED, reason=REASON),
    Row("smtp_line_length_limit", Kind.NUMBER, "998", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtp_never_send_ehlo", Kind.FLAG, "no", status=Status.PLANNED, reason=REASON),
    Row("smtp_pix_workaround_threshold_time", Kind.TIME, "500s", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtp_quit_timeout", Kind.TIME, "300s", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtp_sasl_password_result_delimiter", Kind.TEXT, ":", status=Status.PLANNED, reason=REASON),
    Row("smtp_skip_4xx_greeting", Kind.FLAG, "yes", status=Status.PLANNED, reason=REASON),
    Row("smtp_skip_5xx_greeting", Kind.FLAG, "yes", status=Status.PLANNED, reason=REASON),
    Row("smtp_skip_quit_response", Kind.FLAG, "yes", status=Status.PLANNED, reason=REASON),
    Row("smtp_xforward_timeout", Kind.TIME, "300s", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtp_pix_workaround_delay_time", Kind.TIME, "10s", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtp_rset_timeout", Kind.TIME, "20s", status=Status.PLANNED, reason=REASON, low=0),
    Row("smtp_discard_ehlo_keywords", Kind.LIST, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_discard_ehlo_keyword_address_maps", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_sasl_path", Kind.TEXT, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_pix_workarounds", Kind.LIST, "disable_esmtp,delay_dotcrlf", status=Status.PLANNED, reason=REASON),
    Row("smtp_pix_workaround_maps", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_mime_header_checks", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_nested_header_checks", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_body_checks", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_sasl_auth_cache_name", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_sasl_auth_cache_time", Kind.TIME, "90d", status=Status.PLANNED, reason=REASON, unit="d", low=0),
    Row("smtp_reply_filter", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_dns_resolver_options", Kind.LIST, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_send_dummy_mail_auth", Kind.FLAG, "no", status=Status.PLANNED, reason=REASON),
    Row("smtp_address_verify_target", Kind.TEXT, "rcpt", "The command whose answer decides a probe: rcpt or data."),
    Row("smtp_connection_reuse_count_limit", Kind.NUMBER, "0", status=Status.PLANNED, reason=REASON, low=0),
    Row(
        "smtp_delivery_status_filter",
        Kind.TABLES,
        "$default_delivery_status_filter",
        status=Status.PLANNED,
        reason=REASON,
    ),
    Row("smtp_dns_reply_filter", Kind.TABLES, "", status=Status.PLANNED, reason=REASON),
    Row("smtp_min_data_rate", Kind.NUMBER, "500", status=Status.PLANNED, reason=REASON, low=0),
    Row(
        "smtp_per_request_deadline",
        Kind.TEXT,
        "${smtp_per_record_deadline?{$smtp_per_record_deadline}:{no}}",
        status=Status.PLANNED,
        reason=REASON,
    ),
    Row("smtp_bind_address_enforce", Kind.FLAG, "no", status=Status.PLANNED, reason=REASON),
)
