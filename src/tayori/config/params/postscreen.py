"""postscreen."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON = "remaining postscreen knobs: cache and protocol-test fine tuning"

ROWS: tuple[Row, ...] = (
    Row("postscreen_access_list", Kind.TABLES, "permit_mynetworks", status=Status.PLANNED, reason="a later issue"),
    Row(
        "postscreen_greet_wait", Kind.TIME, "${stress?{2}:{6}}s", status=Status.PLANNED, reason="a later issue", low=0
    ),
    Row("postscreen_greet_banner", Kind.TEXT, "$smtpd_banner", status=Status.PLANNED, reason="a later issue"),
    Row(
        "postscreen_greet_action",
        Kind.CHOICE,
        "ignore",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("ignore", "enforce", "drop"),
    ),
    Row("postscreen_dnsbl_sites", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row("postscreen_dnsbl_threshold", Kind.NUMBER, "1", status=Status.PLANNED, reason="a later issue", low=0),
    Row(
        "postscreen_dnsbl_allowlist_threshold",
        Kind.TEXT,
        "${postscreen_dnsbl_whitelist_threshold?{$postscreen_dnsbl_whitelist_threshold}:{0}}",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row(
        "postscreen_dnsbl_action",
        Kind.CHOICE,
        "ignore",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("ignore", "enforce", "drop"),
    ),
    Row("postscreen_dnsbl_reply_map", Kind.TABLES, "", status=Status.PLANNED, reason="a later issue"),
    Row(
        "postscreen_denylist_action",
        Kind.TEXT,
        "${postscreen_blacklist_action?{$postscreen_blacklist_action}:{ignore}}",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row(
        "postscreen_cache_map",
        Kind.TABLES,
        "$default_cache_db_type:$data_directory/postscreen_cache",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row("postscreen_pipelining_enable", Kind.FLAG, "no", status=Status.PLANNED, reason="a later issue"),
    Row(
        "postscreen_pipelining_action",
        Kind.CHOICE,
        "enforce",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("ignore", "enforce", "drop"),
    ),
    Row(
        "postscreen_upstream_proxy_protocol",
        Kind.CHOICE,
        "",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("", "haproxy"),
    ),
    Row(
        "postscreen_post_queue_limit",
        Kind.NUMBER,
        "$default_process_limit",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row(
        "postscreen_pre_queue_limit",
        Kind.NUMBER,
        "$default_process_limit",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row("postscreen_greet_ttl", Kind.TIME, "1d", status=Status.ACCEPTED, reason=REASON, unit="d", low=0),
    Row("postscreen_cache_retention_time", Kind.TIME, "7d", status=Status.ACCEPTED, reason=REASON, unit="d", low=0),
    Row(
        "postscreen_cache_cleanup_interval", Kind.TIME, "12h", status=Status.ACCEPTED, reason=REASON, unit="h", low=0
    ),
    Row("postscreen_command_count_limit", Kind.NUMBER, "20", status=Status.ACCEPTED, reason=REASON, low=0),
    Row(
        "postscreen_command_time_limit",
        Kind.TIME,
        "${stress?{10}:{300}}s",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row("postscreen_dnsbl_min_ttl", Kind.TIME, "60s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row(
        "postscreen_dnsbl_max_ttl",
        Kind.TEXT,
        "${postscreen_dnsbl_ttl?{$postscreen_dnsbl_ttl}:{1}}h",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row("postscreen_pipelining_ttl", Kind.TIME, "30d", status=Status.ACCEPTED, reason=REASON, unit="d", low=0),
    Row("postscreen_watchdog_timeout", Kind.TIME, "10s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row("postscreen_helo_required", Kind.FLAG, "$smtpd_helo_required", status=Status.ACCEPTED, reason=REASON),
    Row(
        "postscreen_forbidden_commands", Kind.LIST, "$smtpd_forbidden_commands", status=Status.ACCEPTED, reason=REASON
    ),
    Row("postscreen_disable_vrfy_command", Kind.FLAG, "$disable_vrfy_command", status=Status.ACCEPTED, reason=REASON),
    Row(
        "postscreen_non_smtp_command_action",
        Kind.CHOICE,
        "drop",
        status=Status.ACCEPTED,
        reason=REASON,
        choices=("ignore", "enforce", "drop"),
    ),
    Row("postscreen_non_smtp_command_ttl", Kind.TIME, "30d", status=Status.ACCEPTED, reason=REASON, unit="d", low=0),
    Row("postscreen_non_smtp_command_enable", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_dnsbl_timeout", Kind.TIME, "10s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row(
        "postscreen_bare_newline_action",
        Kind.CHOICE,
        "ignore",
        status=Status.ACCEPTED,
        reason=REASON,
        choices=("ignore", "enforce", "drop"),
    ),
    Row("postscreen_bare_newline_ttl", Kind.TIME, "30d", status=Status.ACCEPTED, reason=REASON, unit="d", low=0),
    Row("postscreen_bare_newline_enable", Kind.FLAG, "no", status=Status.ACCEPTED, reason=REASON),
    Row(
        "postscreen_client_connection_count_limit",
        Kind.NUMBER,
        "$smtpd_client_connection_count_limit",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row("dnsblog_reply_delay", Kind.TIME, "0s", status=Status.ACCEPTED, reason=REASON, low=0),
    Row(
        "postscreen_discard_ehlo_keywords",
        Kind.LIST,
        "$smtpd_discard_ehlo_keywords",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "postscreen_discard_ehlo_keyword_address_maps",
        Kind.TABLES,
        "$smtpd_discard_ehlo_keyword_address_maps",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "postscreen_expansion_filter",
        Kind.TEXT,
        "$smtpd_expansion_filter",
        status=Status.ACCEPTED,
        reason=REASON,
        raw=True,
    ),
    Row(
        "postscreen_reject_footer", Kind.TEXT, "$smtpd_reject_footer", status=Status.ACCEPTED, reason=REASON, raw=True
    ),
    Row(
        "postscreen_reject_footer_maps",
        Kind.TABLES,
        "$smtpd_reject_footer_maps",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row("postscreen_command_filter", Kind.TABLES, "", status=Status.ACCEPTED, reason=REASON),
    Row("dnsblog_service_name", Kind.TEXT, "dnsblog", status=Status.ACCEPTED, reason=REASON),
    Row(
        "postscreen_allowlist_interfaces",
        Kind.NETWORKS,
        "${postscreen_whitelist_interfaces?{$postscreen_whitelist_interfaces}:{static:all}}",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row("postscreen_upstream_proxy_timeout", Kind.TIME, "5s", status=Status.ACCEPTED, reason=REASON, low=0),
)
