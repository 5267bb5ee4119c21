"""TLS of postscreen."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

REASON = "TLS worker process or its mirror settings: one process terminates TLS here"

ROWS: tuple[Row, ...] = (
    Row(
        "postscreen_tls_security_level", Kind.TEXT, "$smtpd_tls_security_level", status=Status.ACCEPTED, reason=REASON
    ),
    Row(
        "postscreen_starttls_timeout",
        Kind.TIME,
        "$smtpd_starttls_timeout",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row(
        "postscreen_tls_always_issue_session_ids",
        Kind.FLAG,
        "$smtpd_tls_always_issue_session_ids",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row("postscreen_tls_ask_ccert", Kind.FLAG, "$smtpd_tls_ask_ccert", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_CAfile", Kind.PATH, "$smtpd_tls_CAfile", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_CApath", Kind.PATH, "$smtpd_tls_CApath", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_cert_file", Kind.PATH, "$smtpd_tls_cert_file", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_chain_files", Kind.LIST, "$smtpd_tls_chain_files", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_ciphers", Kind.TEXT, "$smtpd_tls_ciphers", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_dcert_file", Kind.PATH, "$smtpd_tls_dcert_file", status=Status.ACCEPTED, reason=REASON),
    Row(
        "postscreen_tls_dh1024_param_file",
        Kind.PATH,
        "$smtpd_tls_dh1024_param_file",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "postscreen_tls_dh512_param_file",
        Kind.PATH,
        "$smtpd_tls_dh512_param_file",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row("postscreen_tls_dkey_file", Kind.PATH, "$smtpd_tls_dkey_file", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_eccert_file", Kind.PATH, "$smtpd_tls_eccert_file", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_eckey_file", Kind.PATH, "$smtpd_tls_eckey_file", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_eecdh_grade", Kind.TEXT, "$smtpd_tls_eecdh_grade", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_enable_rpk", Kind.FLAG, "$smtpd_tls_enable_rpk", status=Status.ACCEPTED, reason=REASON),
    Row(
        "postscreen_tls_exclude_ciphers",
        Kind.LIST,
        "$smtpd_tls_exclude_ciphers",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "postscreen_tls_fingerprint_digest",
        Kind.TEXT,
        "$smtpd_tls_fingerprint_digest",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row("postscreen_tls_key_file", Kind.PATH, "$smtpd_tls_key_file", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_loglevel", Kind.NUMBER, "$smtpd_tls_loglevel", status=Status.ACCEPTED, reason=REASON, low=0),
    Row(
        "postscreen_tls_mandatory_ciphers",
        Kind.TEXT,
        "$smtpd_tls_mandatory_ciphers",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "postscreen_tls_mandatory_exclude_ciphers",
        Kind.LIST,
        "$smtpd_tls_mandatory_exclude_ciphers",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row(
        "postscreen_tls_mandatory_protocols",
        Kind.LIST,
        "$smtpd_tls_mandatory_protocols",
        status=Status.ACCEPTED,
        reason=REASON,
    ),
    Row("postscreen_tls_protocols", Kind.LIST, "$smtpd_tls_protocols", status=Status.ACCEPTED, reason=REASON),
    Row("postscreen_tls_req_ccert", Kind.FLAG, "$smtpd_tls_req_ccert", status=Status.ACCEPTED, reason=REASON),
    Row(
        "postscreen_tls_ccert_verifydepth",
        Kind.NUMBER,
        "$smtpd_tls_ccert_verifydepth",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
    Row(
        "postscreen_tls_loglevel_maps", Kind.TABLES, "$smtpd_tls_loglevel_maps", status=Status.ACCEPTED, reason=REASON
    ),
    Row(
        "postscreen_tls_trace_size_limit",
        Kind.NUMBER,
        "$smtpd_tls_trace_size_limit",
        status=Status.ACCEPTED,
        reason=REASON,
        low=0,
    ),
)
