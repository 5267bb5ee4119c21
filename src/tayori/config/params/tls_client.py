"""TLS of the SMTP client."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row, Status

ROWS: tuple[Row, ...] = (
    Row(
        "smtp_tls_security_level",
        Kind.CHOICE,
        "may",
        "How much encryption is asked of other servers.",
        choices=("", "none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"),
    ),
    Row(
        "smtp_tls_policy_maps",
        Kind.TABLES,
        "",
        "Tables that set the TLS level by destination.",
        status=Status.PLANNED,
        reason="a later issue",
    ),
    Row("smtp_tls_CAfile", Kind.PATH, "", "Certificates of the authorities that are trusted."),
    Row("smtp_tls_protocols", Kind.LIST, ">=TLSv1", "TLS versions when TLS is optional."),
    Row("smtp_tls_mandatory_protocols", Kind.LIST, ">=TLSv1", "TLS versions when TLS is required."),
    Row("smtp_tls_loglevel", Kind.NUMBER, "0", "How much is logged about TLS.", low=0),
    Row("smtp_tls_wrappermode", Kind.FLAG, "no", "Whether connections begin with TLS at once."),
    Row("smtp_use_tls", Kind.FLAG, "no", "Old form of smtp_tls_security_level = may."),
    Row("smtp_tls_CApath", Kind.PATH, "", status=Status.PLANNED, reason="a later issue"),
)
