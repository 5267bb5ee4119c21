"""Policy service, content filter, proxies and trusted hops."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

ROWS: tuple[Row, ...] = (
    Row(
        "smtpd_policy_service_timeout",
        Kind.TIME,
        "100s",
        "How long a policy server may take to connect and to answer.",
        low=0,
    ),
    Row(
        "smtpd_policy_service_max_idle",
        Kind.TIME,
        "300s",
        "How long an unused connection to a policy server is kept.",
        low=0,
    ),
    Row(
        "smtpd_policy_service_max_ttl",
        Kind.TIME,
        "1000s",
        "How long a connection to a policy server is used at all.",
        low=0,
    ),
    Row(
        "smtpd_policy_service_default_action",
        Kind.TEXT,
        "451 4.3.5 Server configuration problem",
        "What holds when the policy server cannot be asked.",
    ),
    Row(
        "smtpd_policy_service_try_limit",
        Kind.NUMBER,
        "2",
        "How often a policy server is asked before the default action holds.",
        low=1,
    ),
    Row(
        "smtpd_policy_service_retry_delay", Kind.TIME, "1s", "The pause before a policy server is asked again.", low=0
    ),
    Row("content_filter", Kind.SERVICE, "", "Where all mail goes first, whatever its recipients: transport:nexthop."),
    Row(
        "receive_override_options",
        Kind.LIST,
        "",
        "What is left out when mail comes in, for services behind a content filter.",
        status=Status.PARTLY,
        why="no_milters says nothing yet, for there are no milters to leave out.",
        whole=("no_address_mappings", "no_header_body_checks", "no_unknown_recipient_checks"),
    ),
    Row(
        "smtpd_proxy_filter",
        Kind.TEXT,
        "",
        "The host and port of a filter that sees the mail before it is accepted.",
        status=Status.PLANNED,
        why=(
            "No filter stands before the queue yet, so mail is accepted unseen by it; content_filter "
            "filters behind the queue."
        ),
    ),
    Row(
        "smtpd_proxy_timeout",
        Kind.TIME,
        "100s",
        "How long the before-queue filter may take.",
        status=Status.PLANNED,
        why="It waits for smtpd_proxy_filter, which is not there yet.",
        low=0,
    ),
    Row(
        "smtpd_authorized_xclient_hosts",
        Kind.NETWORKS,
        "",
        "Clients that may use XCLIENT to speak for another client.",
    ),
    Row(
        "smtpd_authorized_xforward_hosts",
        Kind.NETWORKS,
        "",
        "Clients that may tell by XFORWARD where mail first came from.",
        status=Status.PLANNED,
        why=(
            "XFORWARD is not offered yet: behind a content filter the log shows the filter as the client. "
            "XCLIENT works."
        ),
    ),
    Row(
        "smtp_send_xforward_command",
        Kind.FLAG,
        "no",
        "Whether the SMTP client tells by XFORWARD where mail first came from.",
        status=Status.PLANNED,
        why="XFORWARD is not sent yet, so the next server logs this one as the client.",
    ),
    Row(
        "smtpd_upstream_proxy_protocol",
        Kind.CHOICE,
        "",
        "The protocol in which a proxy before the server tells the client's address.",
        status=Status.PLANNED,
        why=(
            "It is not read yet: behind a proxy every client looks like the proxy, and the proxy's first "
            "line is refused as a command."
        ),
        choices=("", "haproxy"),
    ),
    Row(
        "smtpd_upstream_proxy_timeout",
        Kind.TIME,
        "5s",
        "How long the proxy may take to say who the client is.",
        status=Status.PLANNED,
        why="It belongs to smtpd_upstream_proxy_protocol, which is not read yet.",
        low=0,
    ),
)
