"""Routing, rewriting and copies."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row

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
    Row(
        "local_header_rewrite_clients",
        Kind.TEXT,
        "permit_inet_interfaces",
        "Clients whose headers are completed and rewritten as local mail.",
    ),
    Row(
        "remote_header_rewrite_domain",
        Kind.TEXT,
        "",
        "The domain put to incomplete addresses in headers of other clients; empty leaves them.",
    ),
    Row(
        "always_add_missing_headers",
        Kind.FLAG,
        "no",
        "Whether From:, Date: and Message-ID: are added for all clients.",
    ),
    Row(
        "header_from_format",
        Kind.CHOICE,
        "standard",
        "How a From: that is added shows the full name.",
        choices=("standard", "obsolete"),
    ),
    Row(
        "message_drop_headers",
        Kind.LIST,
        "bcc, content-length, resent-bcc, return-path",
        "Headers that are taken out of every message.",
    ),
    Row("nested_header_checks", Kind.TABLES, "$header_checks", "Rules on the headers of attached messages."),
    Row(
        "header_size_limit",
        Kind.NUMBER,
        "102400",
        "How many bytes of a header field are kept; lines of it that begin beyond are cut off.",
        low=1,
    ),
    Row(
        "body_checks_size_limit", Kind.NUMBER, "51200", "How many bytes of each body part body_checks look at.", low=0
    ),
    Row(
        "strict_smtputf8",
        Kind.FLAG,
        "no",
        "Whether mail with UTF-8 addresses is refused unless SMTPUTF8 was asked for.",
    ),
    Row(
        "smtputf8_autodetect_classes",
        Kind.LIST,
        "sendmail, verify",
        "Which mail is looked through for a need of SMTPUTF8: sendmail, bounce, verify, all …",
    ),
    Row("undisclosed_recipients_header", Kind.TEXT, "", "The header that stands in for missing To:, Cc: and Bcc:."),
    Row(
        "propagate_unmatched_extensions",
        Kind.LIST,
        "canonical, virtual",
        "Where user+extension keeps its extension when the user alone was found.",
    ),
    Row("resolve_null_domain", Kind.FLAG, "no", "Whether user@ means a user of this server."),
    Row("masquerade_domains", Kind.LIST, "", "Domains below which host names are hidden."),
    Row("relocated_maps", Kind.TABLES, "", "Tables of users who have moved, with their new address."),
)
