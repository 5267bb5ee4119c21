"""Who may send what: rules and reply codes of the SMTP server."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row

ROWS: tuple[Row, ...] = (
    Row("smtpd_client_restrictions", Kind.RESTRICTIONS, "", "Rules asked when a client connects."),
    Row("smtpd_helo_required", Kind.FLAG, "no", "Whether a client must say HELO or EHLO first."),
    Row("smtpd_helo_restrictions", Kind.RESTRICTIONS, "", "Rules asked about the name in HELO or EHLO."),
    Row("smtpd_sender_restrictions", Kind.RESTRICTIONS, "", "Rules asked about the sender address."),
    Row(
        "smtpd_relay_restrictions",
        Kind.RESTRICTIONS,
        (
            "${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, "
            "defer_unauth_destination}}"
        ),
        "Rules that decide who may relay; they keep strangers from sending to other domains.",
    ),
    Row(
        "smtpd_recipient_restrictions",
        Kind.RESTRICTIONS,
        "",
        "Rules asked about each recipient address, after the relay rules.",
    ),
    Row("smtpd_data_restrictions", Kind.RESTRICTIONS, "", "Rules asked at DATA."),
    Row("smtpd_end_of_data_restrictions", Kind.RESTRICTIONS, "", "Rules asked when the whole message has come in."),
    Row("smtpd_restriction_classes", Kind.LIST, "", "Names of the user's own for groups of rules."),
    Row(
        "smtpd_delay_reject",
        Kind.FLAG,
        "yes",
        "Whether refusals wait until RCPT TO, so that the log shows who wrote to whom.",
    ),
    Row(
        "smtpd_reject_unlisted_recipient",
        Kind.FLAG,
        "yes",
        "Whether unknown recipients are refused even when no rule asks for it.",
    ),
    Row(
        "smtpd_reject_unlisted_sender",
        Kind.FLAG,
        "no",
        "Whether senders that do not exist in own domains are refused.",
    ),
    Row(
        "smtpd_relay_before_recipient_restrictions",
        Kind.FLAG,
        "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
        "Whether relay rules are asked before recipient rules.",
    ),
    Row("relay_recipient_maps", Kind.TABLES, "", "Tables of the valid addresses in relay_domains."),
    Row("smtpd_sender_login_maps", Kind.TABLES, "", "Tables that say which login owns which sender address."),
    Row(
        "access_map_reject_code", Kind.CODE, "554", "Reply code when an access table says REJECT.", low=200, high=599
    ),
    Row("reject_code", Kind.CODE, "554", "Reply code of the rule reject.", low=200, high=599),
    Row(
        "relay_domains_reject_code",
        Kind.CODE,
        "554",
        "Reply code for a client that may not relay.",
        low=200,
        high=599,
    ),
    Row("maps_rbl_reject_code", Kind.CODE, "554", "Reply code for a client on a DNS block list.", low=200, high=599),
    Row(
        "unknown_address_reject_code",
        Kind.CODE,
        "450",
        "Reply code for a sender or recipient domain that does not exist.",
        low=200,
        high=599,
    ),
    Row(
        "unknown_client_reject_code",
        Kind.CODE,
        "450",
        "Reply code for a client without a valid host name.",
        low=200,
        high=599,
    ),
    Row(
        "unknown_hostname_reject_code",
        Kind.CODE,
        "450",
        "Reply code for a HELO name that does not exist.",
        low=200,
        high=599,
    ),
    Row("invalid_hostname_reject_code", Kind.CODE, "501", "Reply code for a malformed HELO name.", low=200, high=599),
    Row(
        "non_fqdn_reject_code",
        Kind.CODE,
        "504",
        "Reply code for a name that is not a full domain name.",
        low=200,
        high=599,
    ),
    Row(
        "unknown_local_recipient_reject_code",
        Kind.CODE,
        "550",
        "Reply code for an unknown user in mydestination.",
        low=200,
        high=599,
    ),
    Row(
        "unknown_relay_recipient_reject_code",
        Kind.CODE,
        "550",
        "Reply code for an unknown address in relay_domains.",
        low=200,
        high=599,
    ),
    Row(
        "unknown_virtual_alias_reject_code",
        Kind.CODE,
        "550",
        "Reply code for an unknown address in virtual_alias_domains.",
        low=200,
        high=599,
    ),
    Row(
        "unknown_virtual_mailbox_reject_code",
        Kind.CODE,
        "550",
        "Reply code for an unknown address in virtual_mailbox_domains.",
        low=200,
        high=599,
    ),
    Row(
        "plaintext_reject_code",
        Kind.CODE,
        "450",
        "Reply code for a session without encryption where rules ask for it.",
        low=200,
        high=599,
    ),
    Row(
        "default_rbl_reply",
        Kind.TEXT,
        "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}",
        "The reply to a client on a DNS list.",
        raw=True,
    ),
)
