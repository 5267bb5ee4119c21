"""TLS policy, TLSRPT and REQUIRETLS."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

ROWS: tuple[Row, ...] = (
    Row("smtpd_tls_CApath", Kind.PATH, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtpd_tls_req_ccert", Kind.FLAG, "no", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtpd_tls_ciphers",
        Kind.CHOICE,
        "medium",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("export", "low", "medium", "high", "null"),
    ),
    Row(
        "smtpd_tls_mandatory_ciphers",
        Kind.CHOICE,
        "medium",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("export", "low", "medium", "high", "null"),
    ),
    Row("smtpd_tls_exclude_ciphers", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtpd_tls_fingerprint_digest",
        Kind.TEXT,
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row("smtpd_tls_session_cache_timeout", Kind.TIME, "3600s", status=Status.PLANNED, reason="a later issue", low=0),
    Row("relay_clientcerts", Kind.TABLES, "", status=Status.PLANNED, reason="a later issue"),
    Row("tls_server_sni_maps", Kind.TABLES, "", status=Status.PLANNED, reason="a later issue"),
    Row(
        "tls_high_cipherlist", Kind.TEXT, "aNULL:-aNULL:HIGH:@STRENGTH", status=Status.PLANNED, reason="a later issue"
    ),
    Row(
        "tls_medium_cipherlist",
        Kind.TEXT,
        "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row(
        "smtp_tls_ciphers",
        Kind.CHOICE,
        "medium",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("export", "low", "medium", "high", "null"),
    ),
    Row(
        "smtp_tls_mandatory_ciphers",
        Kind.CHOICE,
        "medium",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("export", "low", "medium", "high", "null"),
    ),
    Row("smtp_tls_exclude_ciphers", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tls_verify_cert_match", Kind.LIST, "hostname", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtp_tls_secure_cert_match", Kind.LIST, "nexthop, dot-nexthop", status=Status.PLANNED, reason="a later issue"
    ),
    Row("smtp_tls_fingerprint_cert_match", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtp_tls_fingerprint_digest",
        Kind.TEXT,
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row("smtp_tls_servername", Kind.TEXT, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tls_cert_file", Kind.PATH, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tls_key_file", Kind.PATH, "$smtp_tls_cert_file", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tls_chain_files", Kind.LIST, "", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tls_note_starttls_offer", Kind.FLAG, "no", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tls_connection_reuse", Kind.FLAG, "no", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tls_enforce_sts_mx_patterns", Kind.FLAG, "yes", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtp_dns_support_level",
        Kind.CHOICE,
        "",
        status=Status.PLANNED,
        reason="a later issue",
        choices=("", "disabled", "enabled", "dnssec"),
    ),
    Row("dnssec_probe", Kind.TEXT, "ns:.", status=Status.PLANNED, reason="a later issue"),
    Row("smtp_tlsrpt_enable", Kind.FLAG, "no", status=Status.PLANNED, reason="a later issue"),
    Row("tls_required_enable", Kind.FLAG, "yes", status=Status.PLANNED, reason="a later issue"),
    Row("requiretls_enable", Kind.FLAG, "yes", status=Status.PLANNED, reason="a later issue"),
    Row("requiretls_redact_dsn", Kind.FLAG, "yes", status=Status.PLANNED, reason="a later issue"),
    Row(
        "smtp_requiretls_policy",
        Kind.LIST,
        (
            "inline:{{${domain_to_ascii{$mydomain}}=opportunistic}, "
            "{.${domain_to_ascii{$mydomain}}=opportunistic}, {localhost=opportunistic}}, "
            "cidr:{{0.0.0.0/0 opportunistic}, {::/0 opportunistic}}, enforce"
        ),
        status=Status.PLANNED,
        reason="a later issue",
    ),
)
