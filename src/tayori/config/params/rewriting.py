"""Routing, rewriting and copies."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

ROWS: tuple[Row, ...] = (
    Row("default_transport", Kind.SERVICE, "smtp", "The transport for mail to all other domains."),
    Row(
        "local_transport",
        Kind.SERVICE,
        "local:$myhostname",
        "The transport for mydestination and the server's own addresses.",
    ),
    Row("relay_transport", Kind.SERVICE, "relay", "The transport for relay_domains."),
    Row("virtual_transport", Kind.SERVICE, "virtual", "The transport for virtual_mailbox_domains."),
    Row("transport_maps", Kind.TABLES, "", "Tables that choose transport and next hop by address or domain."),
    Row("sender_dependent_relayhost_maps", Kind.TABLES, "", "Tables that choose the relay host by sender."),
    Row("canonical_maps", Kind.TABLES, "", "Tables that rewrite addresses in headers and envelope."),
    Row("sender_canonical_maps", Kind.TABLES, "", "Tables that rewrite sender addresses."),
    Row("recipient_canonical_maps", Kind.TABLES, "", "Tables that rewrite recipient addresses."),
    Row("smtp_generic_maps", Kind.TABLES, "", "Tables that rewrite addresses when mail leaves by SMTP."),
    Row("always_bcc", Kind.TEXT, "", "An address that gets a copy of every message."),
    Row("sender_bcc_maps", Kind.TABLES, "", "Tables that name an address for copies by sender."),
    Row("recipient_bcc_maps", Kind.TABLES, "", "Tables that name an address for copies by recipient."),
    Row("local_header_rewrite_clients", Kind.TEXT, "permit_inet_interfaces", status=Status.PLANNED, reason="issue 4"),
    Row("remote_header_rewrite_domain", Kind.TEXT, "", status=Status.PLANNED, reason="issue 4"),
    Row("always_add_missing_headers", Kind.FLAG, "no", status=Status.PLANNED, reason="issue 4"),
    Row(
        "header_from_format",
        Kind.CHOICE,
        "standard",
        status=Status.PLANNED,
        reason="issue 4",
        choices=("standard", "obsolete"),
    ),
    Row(
        "message_drop_headers",
        Kind.LIST,
        "bcc, content-length, resent-bcc, return-path",
        status=Status.PLANNED,
        reason="issue 4",
    ),
    Row("nested_header_checks", Kind.TABLES, "$header_checks", status=Status.PLANNED, reason="issue 4"),
    Row("header_size_limit", Kind.NUMBER, "102400", status=Status.PLANNED, reason="issue 4", low=1),
    Row("body_checks_size_limit", Kind.NUMBER, "51200", status=Status.PLANNED, reason="issue 4", low=0),
    Row("strict_smtputf8", Kind.FLAG, "no", status=Status.PLANNED, reason="issue 4"),
    Row("smtputf8_autodetect_classes", Kind.LIST, "sendmail, verify", status=Status.PLANNED, reason="issue 4"),
    Row("undisclosed_recipients_header", Kind.TEXT, "", status=Status.PLANNED, reason="issue 4"),
    Row("propagate_unmatched_extensions", Kind.LIST, "canonical, virtual", status=Status.PLANNED, reason="issue 4"),
    Row("resolve_null_domain", Kind.FLAG, "no", status=Status.PLANNED, reason="issue 4"),
    Row("masquerade_domains", Kind.LIST, "", status=Status.PLANNED, reason="issue 4"),
    Row("relocated_maps", Kind.TABLES, "", status=Status.PLANNED, reason="issue 4"),
)
