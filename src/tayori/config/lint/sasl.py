"""Logins: passwords offered without encryption, and the words of smtpd.conf."""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config.lint.finding import Edit, Finding, Message, Phrase
from tayori.config.lint.source import Source
from tayori.config.lint.vocabulary import MECHANISMS, PWCHECK_METHODS, close_to
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings

PLAINTEXT = Message(
    "warning",
    "plaintext-auth",
    "passwords can be sent without encryption{where}",
    "Login is offered on unencrypted connections with {mechanisms}: whoever can listen on the way reads the "
    "password. Postfix does the same with this configuration.",
    "{mend}",
)
MECHANISM = Message(
    "warning",
    "unknown-mechanism",
    'there is no login mechanism "{word}"{hint}',
    "The word is left out; if no word remains, nobody can log in.",
    "{mend}",
)
METHOD = Message(
    "error",
    "unknown-pwcheck-method",
    '"{word}" is no way to check passwords{hint}',
    "With this pwcheck_method every login fails.",
    "Write one of: saslauthd, auxprop, accounts, passwd-file, ldap, rimap, httpform, oauth.",
)
ALWAYS = Message(
    "error",
    "pwcheck-alwaystrue",
    "pwcheck_method alwaystrue takes any password",
    "Everybody could log in as anybody and send mail to anywhere.",
    "Write: pwcheck_method: saslauthd",
)
KEY = Message(
    "warning",
    "misspelt-sasl-key",
    'there is no setting "{key}"; did you mean "{meant}"?',
    "The line has no effect.",
    'Write "{meant}".',
)
NO_CERTIFICATE = Message(
    "warning",
    "no-certificate",
    "TLS is switched on{where}, but no certificate is set",
    "STARTTLS cannot be offered without a certificate{then}.",
    "Set smtpd_tls_cert_file and smtpd_tls_key_file (or smtpd_tls_chain_files).",
)
NO_AUTH = Message(
    "warning",
    "auth-never-offered",
    "login is only offered on encrypted connections, but TLS is off{where}",
    "smtpd_tls_auth_only = yes hides AUTH until STARTTLS, and STARTTLS is not offered: nobody can log in.",
    "Set smtpd_tls_security_level = may and a certificate.",
)
PLAINTEXT_OFF = {"noplaintext", "noactive", "nodictionary", "forward_secrecy", "mutual_auth"}
"""Security options that PLAIN and LOGIN do not get past."""
KEYS = (
    "pwcheck_method",
    "mech_list",
    "auxprop_plugin",
    "saslauthd_path",
    "log_level",
    "sql_engine",
    "sql_hostnames",
    "sql_user",
    "sql_passwd",
    "sql_database",
    "sql_select",
    "sql_insert",
    "sql_update",
    "sql_usessl",
    "sql_verbose",
    "sasldb_path",
    "ldapdb_uri",
    "ldapdb_id",
    "ldapdb_pw",
    "ldapdb_mech",
    "ldapdb_rc",
    "ldapdb_starttls",
    "auto_transition",
    "canon_user_plugin",
    "authdaemond_path",
    "keytab",
    "opiekeys",
    "otp_mda",
    "reauth_timeout",
    "srp_mda",
    "srvtab",
    "plugin_list",
)


def check(source: Source) -> Iterator[Finding]:
    """Each smtpd, then smtpd.conf."""
    seen: set[tuple[str, Origin]] = set()
    for service, settings in source.smtpd_views:
        if service.command != "smtpd":
            continue
        where = Phrase(" (service {name})", name=service.name) if service.overrides else ""
        try:
            found = list(listener(source, settings, where))
        except ConfigError:
            continue  # the value has its own finding
        for finding in found:
            if (finding.code, finding.origin) not in seen:
                seen.add((finding.code, finding.origin))
                yield finding
    yield from smtpd_conf(source)


def tls_offered(settings: Settings) -> bool:
    """Whether the listener speaks TLS at all."""
    level = settings.text("smtpd_tls_security_level")
    if level:
        return level in ("may", "encrypt")
    return (
        settings.flag("smtpd_use_tls") or settings.flag("smtpd_enforce_tls") or settings.flag("smtpd_tls_wrappermode")
    )


def encrypted_always(settings: Settings) -> bool:
    """Whether no command but STARTTLS works in the clear."""
    level = settings.text("smtpd_tls_security_level")
    return (
        settings.flag("smtpd_tls_wrappermode")
        or level == "encrypt"
        or (not level and settings.flag("smtpd_enforce_tls"))
    )


def certificate(settings: Settings) -> bool:
    """Whether any certificate is set."""
    names = ("smtpd_tls_cert_file", "smtpd_tls_chain_files", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file")
    return any(settings.text(name) not in ("", "none") for name in names)


def listener(source: Source, settings: Settings, where: str) -> Iterator[Finding]:
    """TLS and AUTH of one smtpd. Raises ConfigError for values that have their own finding."""
    tls = tls_offered(settings)
    if tls and not certificate(settings):
        level = settings.origin("smtpd_tls_security_level")
        origin = level or settings.origin("smtpd_tls_wrappermode") or settings.origin("smtpd_use_tls")
        then = Phrase("; with encrypt nobody can send mail") if encrypted_always(settings) else ""
        yield NO_CERTIFICATE.at(origin or Origin(source.main), where=where, then=then)
    if not settings.flag("smtpd_sasl_auth_enable") or encrypted_always(settings):
        return
    on = settings.origin("smtpd_sasl_auth_enable") or Origin(source.main)
    if settings.flag("smtpd_tls_auth_only"):
        if not tls:
            yield NO_AUTH.at(settings.origin("smtpd_tls_auth_only") or on, where=where)
        return
    if PLAINTEXT_OFF & set(settings.items("smtpd_sasl_security_options")):
        return
    named = source.smtpd_conf.words("mech_list")
    plain = [word.upper() for word in named if word.upper() in ("PLAIN", "LOGIN")] if named else ["PLAIN", "LOGIN"]
    plain = list(dict.fromkeys(word for word in plain if not filtered_out(settings, word)))
    if plain:
        steps = "" if tls else Phrase("smtpd_tls_security_level = may, a certificate, and ")
        mend = Phrase("Set {steps}smtpd_tls_auth_only = yes.", steps=steps)
        both = Phrase("{one} and {other}", one=plain[0], other=plain[-1]) if len(plain) > 1 else plain[0]
        yield PLAINTEXT.at(on, where=where, mechanisms=both, mend=mend)


def filtered_out(settings: Settings, mechanism: str) -> bool:
    """Whether smtpd_sasl_mechanism_filter certainly leaves it out; files and tables are not asked."""
    if not settings.is_set("smtpd_sasl_mechanism_filter") or not settings.items("smtpd_sasl_mechanism_filter"):
        return False
    for word in settings.items("smtpd_sasl_mechanism_filter"):
        pattern = word.lstrip("!")
        if pattern.upper() == mechanism or ":" in pattern or "/" in pattern:
            return word.startswith("!") and pattern.upper() == mechanism
    return True


def smtpd_conf(source: Source) -> Iterator[Finding]:
    """Words of the Cyrus file."""
    conf = source.smtpd_conf
    for key, (_, origin) in conf.values.items():
        meant = close_to(key, KEYS, 0.8)
        if key not in KEYS and meant:
            line = source.line(origin)
            name, colon, rest = line.partition(":")
            fix = Edit(origin.file, origin.line, (f"{meant}{colon}{rest}",)) if name.strip() else None
            yield KEY.at(origin, fix, key=key, meant=meant)
    origin = conf.origin("mech_list") or Origin(conf.path)
    for word in conf.words("mech_list"):
        if word.upper() not in MECHANISMS:
            near = close_to(word.upper(), MECHANISMS, 0.6)
            hint = Phrase('; did you mean "{near}"?', near=near) if near else ""
            mend = Phrase('Write "{name}".', name=near) if near else Phrase("Remove the word.")
            yield MECHANISM.at(origin, word=word, hint=hint, mend=mend)
    origin = conf.origin("pwcheck_method") or Origin(conf.path)
    for word in conf.words("pwcheck_method"):
        if word == "alwaystrue":
            yield ALWAYS.at(origin)
        elif word not in PWCHECK_METHODS:
            near = close_to(word, PWCHECK_METHODS, 0.6)
            yield METHOD.at(origin, word=word, hint=Phrase('; did you mean "{near}"?', near=near) if near else "")
