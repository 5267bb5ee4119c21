"""SASL, server and client."""

from __future__ import annotations

from tayori.config.params.row import Kind, Row

ROWS: tuple[Row, ...] = (
    Row("smtpd_sasl_auth_enable", Kind.FLAG, "no", "Whether clients may log in with AUTH."),
    Row("smtpd_sasl_type", Kind.TEXT, "cyrus", "Which kind of SASL service checks logins."),
    Row(
        "smtpd_sasl_path",
        Kind.TEXT,
        "smtpd",
        "The name of the SASL configuration file, or the socket of the service.",
    ),
    Row("smtpd_sasl_service", Kind.TEXT, "smtp", "The service name told to the SASL back end."),
    Row("smtpd_sasl_security_options", Kind.LIST, "noanonymous", "Kinds of login mechanisms that are not offered."),
    Row(
        "smtpd_sasl_tls_security_options",
        Kind.LIST,
        "$smtpd_sasl_security_options",
        "The same on encrypted connections.",
    ),
    Row("smtpd_sasl_local_domain", Kind.TEXT, "", "The realm of logins that name none."),
    Row("smtpd_sasl_authenticated_header", Kind.FLAG, "no", "Whether the Received header shows the login name."),
    Row("smtpd_sasl_exceptions_networks", Kind.NETWORKS, "", "Clients to whom AUTH is not offered."),
    Row(
        "broken_sasl_auth_clients",
        Kind.FLAG,
        "no",
        "Whether AUTH is also offered in an old form (250-AUTH=) for old mail programs.",
    ),
    Row("cyrus_sasl_config_path", Kind.TEXT, "", "Folders in which smtpd.conf is looked for."),
    Row(
        "smtp_sasl_auth_enable",
        Kind.FLAG,
        "no",
        "Whether this server logs in to the server it relays to.",
    ),
    Row(
        "smtp_sasl_password_maps",
        Kind.TABLES,
        "",
        "Tables that hold name and password for each relay server.",
    ),
    Row(
        "smtp_sasl_security_options",
        Kind.LIST,
        "noplaintext, noanonymous",
        "Kinds of login mechanisms not used towards other servers.",
    ),
    Row(
        "smtp_sasl_tls_security_options",
        Kind.LIST,
        "$smtp_sasl_security_options",
        "The same on encrypted connections.",
    ),
    Row(
        "smtp_sasl_mechanism_filter",
        Kind.LIST,
        "",
        "The mechanisms that may be used towards other servers.",
    ),
    Row(
        "smtp_sasl_type", Kind.TEXT, "cyrus", "Which SASL client is used; cyrus, the built-in one, is the only value."
    ),
    Row(
        "smtp_sender_dependent_authentication",
        Kind.FLAG,
        "no",
        "Whether the password is looked up by sender first.",
    ),
    Row(
        "smtpd_sasl_mechanism_filter",
        Kind.LIST,
        "!external, static:rest",
        "The mechanisms that may be offered. While it is not set, tayori_sasl_external_* decide about EXTERNAL.",
    ),
    Row(
        "tayori_sasl_external_maps",
        Kind.TABLES,
        "",
        "Login names for TLS client certificates (SASL EXTERNAL), by fingerprint of certificate or public key, and "
        "for trusted certificates by email:ADDRESS, dns:NAME or subject:NAME. Needs smtpd_tls_ask_ccert = yes.",
        tayori=True,
    ),
    Row(
        "tayori_sasl_external_names",
        Kind.LIST,
        "",
        "Names of a trusted client certificate that are login names as they stand: email, subject. Only for an "
        "authority of your own in smtpd_tls_CAfile.",
        tayori=True,
    ),
    Row(
        "tayori_smtp_sasl_token_maps",
        Kind.TABLES,
        "",
        "Tables, asked as smtp_sasl_password_maps are, that hold name:file:PATH or name:command:PATH for relays that "
        "want OAUTHBEARER or XOAUTH2: where the token is read anew when it changes or has aged.",
        tayori=True,
    ),
)
