"""TLS of the SMTP client."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

ROWS: tuple[Row, ...] = (
    Row(
        "smtp_tls_security_level",
        Kind.CHOICE,
        "may",
        "How much TLS is wanted towards other servers.",
        status=Status.PARTLY,
        why=(
            "none, may and encrypt work; with dane, verify, secure and fingerprint the server does not "
            "start, for a weaker level must not stand in."
        ),
        choices=("", "none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"),
        whole=("none", "may", "encrypt"),
    ),
    Row(
        "smtp_tls_policy_maps",
        Kind.TABLES,
        "",
        "Tables that give single destinations a TLS level of their own.",
        status=Status.PLANNED,
        why="They are not asked yet: smtp_tls_security_level holds for all destinations.",
    ),
    Row("smtp_tls_CAfile", Kind.PATH, "", "Certificates of the authorities that are trusted."),
    Row("smtp_tls_protocols", Kind.LIST, ">=TLSv1", "TLS versions when TLS is optional."),
    Row("smtp_tls_mandatory_protocols", Kind.LIST, ">=TLSv1", "TLS versions when TLS is required."),
    Row(
        "smtp_tls_loglevel",
        Kind.NUMBER,
        "0",
        "How much the SMTP client logs about TLS.",
        status=Status.ACCEPTED,
        why="The client does not log its handshakes; smtpd_tls_loglevel is for the server's.",
        low=0,
    ),
    Row("smtp_tls_wrappermode", Kind.FLAG, "no", "Whether connections begin with TLS at once."),
    Row("smtp_use_tls", Kind.FLAG, "no", "Old form of smtp_tls_security_level = may."),
    Row("smtp_tls_CApath", Kind.PATH, "", "A folder of authorities that are trusted for server certificates."),
)
