"""Policy service, content filter, proxies and trusted hops."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

ROWS: tuple[Row, ...] = (
    Row("smtpd_policy_service_timeout", Kind.TIME, "100s", status=Status.PLANNED, reason="issue 4", low=0),
    Row("smtpd_policy_service_max_idle", Kind.TIME, "300s", status=Status.PLANNED, reason="issue 4", low=0),
    Row("smtpd_policy_service_max_ttl", Kind.TIME, "1000s", status=Status.PLANNED, reason="issue 4", low=0),
    Row(
        "smtpd_policy_service_default_action",
        Kind.TEXT,
        "451 4.3.5 Server configuration problem",
        status=Status.PLANNED,
        reason="issue 4",
    ),
    Row("smtpd_policy_service_try_limit", Kind.NUMBER, "2", status=Status.PLANNED, reason="issue 4", low=1),
    Row("smtpd_policy_service_retry_delay", Kind.TIME, "1s", status=Status.PLANNED, reason="issue 4", low=0),
    Row("content_filter", Kind.SERVICE, "", "Where all mail goes first, whatever its recipients: transport:nexthop."),
    Row("receive_override_options", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtpd_proxy_filter", Kind.TEXT, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtpd_proxy_timeout", Kind.TIME, "100s", status=Status.PLANNED, reason="a later issue", low=0),
    Row(
        "smtpd_authorized_xclient_hosts",
        Kind.NETWORKS,
        "",
        "Clients that may use XCLIENT to speak for another client.",
    ),
    Row("smtpd_authorized_xforward_hosts", Kind.NETWORKS, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_send_xforward_command", Kind.FLAG, "no", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtpd_upstream_proxy_protocol",
        Kind.CHOICE,
        "",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("", "haproxy"),
    ),
    Row("smtpd_upstream_proxy_timeout", Kind.TIME, "5s", status=Status.PLANNED, reason="a later issue", low=0),
)
