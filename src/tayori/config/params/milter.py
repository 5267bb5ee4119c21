"""Milters."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON = "milter protocol details"

ROWS: tuple[Row, ...] = (
    Row("smtpd_milters", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row("non_smtpd_milters", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtpd_milter_maps", Kind.TABLES, "", status=Status.PLANNED, reason="a later issue"),
    Row(
        "milter_default_action",
        Kind.CHOICE,
        "tempfail",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("accept", "reject", "tempfail", "quarantine", "shutdown"),
    ),
    Row("milter_protocol", Kind.NUMBER, "6", status=Status.PLANNED, reason="a later issue", low=0),
    Row("milter_connect_timeout", Kind.TIME, "30s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("milter_command_timeout", Kind.TIME, "30s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("milter_content_timeout", Kind.TIME, "300s", status=Status.PLANNED, reason="a later issue", low=0),
    Row(
        "milter_connect_macros",
        Kind.LIST,
        "j {daemon_name} {daemon_addr} v _",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row(
        "milter_helo_macros",
        Kind.LIST,
        "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row(
        "milter_mail_macros",
        Kind.LIST,
        "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row(
        "milter_rcpt_macros",
        Kind.LIST,
        "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row("milter_data_macros", Kind.LIST, "i", status=Status.PLANNED, reason="a later issue"),
    Row("milter_end_of_header_macros", Kind.LIST, "i", status=Status.PLANNED, reason="a later issue"),
    Row("milter_end_of_data_macros", Kind.LIST, "i", status=Status.PLANNED, reason="a later issue"),
    Row("milter_unknown_command_macros", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row("milter_macro_daemon_name", Kind.TEXT, "$myhostname", status=Status.PLANNED, reason="a later issue"),
    Row("milter_macro_defaults", Kind.TEXT, "", status=Status.ACCEPTED, reason=REASON),
    Row("milter_macro_v", Kind.TEXT, "$mail_name $mail_version", status=Status.ACCEPTED, reason=REASON),
    Row("internal_mail_filter_classes", Kind.LIST, "", status=Status.ACCEPTED, reason=REASON),
    Row("milter_header_checks", Kind.TABLES, "", status=Status.ACCEPTED, reason=REASON),
)
