"""TLS of the SMTP server."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row

ROWS: tuple[Row, ...] = (
    Row(
        "smtpd_tls_security_level",
        Kind.CHOICE,
        "",
        "Whether TLS is offered (may) or required (encrypt).",
        choices=("", "none", "may", "encrypt"),
    ),
    Row("smtpd_tls_auth_only", Kind.FLAG, "no", "Whether AUTH is only offered on encrypted connections."),
    Row("smtpd_tls_wrappermode", Kind.FLAG, "no", "Whether the connection begins with TLS at once, as on port 465."),
    Row("smtpd_tls_cert_file", Kind.PATH, "", "The server's certificate, PEM."),
    Row("smtpd_tls_key_file", Kind.PATH, "$smtpd_tls_cert_file", "The private key of smtpd_tls_cert_file."),
    Row("smtpd_tls_chain_files", Kind.LIST, "", "Files that hold keys and certificate chains together."),
    Row("smtpd_tls_loglevel", Kind.NUMBER, "0", "How much is logged about TLS.", low=0),
    Row(
        "smtpd_tls_received_header", Kind.FLAG, "no", "Whether the Received header tells the TLS version and cipher."
    ),
    Row("smtpd_tls_protocols", Kind.LIST, ">=TLSv1", "TLS versions when TLS is optional."),
    Row("smtpd_tls_mandatory_protocols", Kind.LIST, ">=TLSv1", "TLS versions when TLS is required."),
    Row("smtpd_use_tls", Kind.FLAG, "no", "Old form of smtpd_tls_security_level = may."),
    Row("smtpd_enforce_tls", Kind.FLAG, "no", "Old form of smtpd_tls_security_level = encrypt."),
    Row("smtpd_tls_CAfile", Kind.PATH, "", "Authorities that are trusted for client certificates, PEM."),
    Row("smtpd_tls_ask_ccert", Kind.FLAG, "no", "Whether clients are asked for a certificate."),
)
