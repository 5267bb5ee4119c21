"""What `tayori check` says about logging in to other servers: settings that nothing can come of."""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config.lint.finding import Finding, Message
from tayori.config.lint.source import Source
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.programs.commands.check_sasl import WRONG
from tayori.sasl.client import ClientLogin, PasswordMaps
from tayori.sasl.mechanisms import ClientContext
from tayori.tables.registry import Tables

NO_PASSWORDS = Message(
    "warning",
    "relay-without-passwords",
    "{prefix}_sasl_auth_enable is set, but {prefix}_sasl_password_maps is empty",
    "No name and password is known for any server, so this one never logs in.",
    "Set {prefix}_sasl_password_maps = texthash:/etc/postfix/sasl_passwd, with lines like: "
    "[relay.example.com]:587 name:password",
)
NO_PLAINTEXT = Message(
    "note",
    "relay-without-plaintext",
    "the SMTP client does not log in with PLAIN or LOGIN, because of {setting}",
    "Most providers offer these two alone; mail to them then waits with: no mechanism available.",
    "Set {prefix}_tls_security_level = encrypt and {prefix}_sasl_tls_security_options = noanonymous.",
)
UNENCRYPTED = Message(
    "warning",
    "relay-password-in-the-clear",
    "the password for a relay can be sent without encryption",
    "{prefix}_sasl_security_options lets PLAIN or LOGIN through without TLS, and {prefix}_tls_security_level does "
    "not demand TLS: who sits between can make it go away and read the password.",
    "Set {prefix}_tls_security_level = encrypt.",
)
NOTHING = Message(
    "warning",
    "relay-without-mechanism",
    "the SMTP client cannot log in anywhere: no mechanism is left",
    "{prefix}_sasl_mechanism_filter and the security options together let none through.",
    "Take one of them back.",
)
PLAINTEXT = ("PLAIN", "LOGIN")
ALL = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5", *PLAINTEXT)


def relay_logins(source: Source) -> Iterator[Finding]:
    """Each client that logs in: smtp, and lmtp."""
    settings = source.settings
    for prefix in ("smtp", "lmtp"):
        if settings.flag(f"{prefix}_sasl_auth_enable"):
            yield from _of(settings, prefix)


def _of(settings: Settings, prefix: str) -> Iterator[Finding]:
    on = settings.origin(f"{prefix}_sasl_auth_enable") or Origin(f"{settings.directory}/main.cf")
    tables = Tables(settings)
    try:
        rules = ClientLogin(settings, tables, prefix)
        PasswordMaps(settings, tables, prefix)
    except ConfigError as error:
        yield WRONG.at(error.origin or on, what=error.message, mend=error.mend)
        return
    finally:
        tables.close()
    if not settings.items(f"{prefix}_sasl_password_maps") and not settings.items("tayori_smtp_sasl_token_maps"):
        yield NO_PASSWORDS.at(on, prefix=prefix)
        return
    someone = ClientContext("name", "password", bytes, lambda: 0.0, token="token")  # noqa: S106
    clear = rules.refusals(PLAINTEXT, rules.options(tls=False), someone)
    # LMTP mostly stays on the machine
    if prefix == "smtp" and not _tls_certain(settings) and len(clear) < len(PLAINTEXT):
        yield UNENCRYPTED.at(settings.origin("smtp_sasl_security_options") or on, prefix=prefix)
    refused = rules.refusals(ALL, rules.options(tls=True), someone)
    if len(refused) == len(ALL):
        yield NOTHING.at(on, prefix=prefix)
    elif all("security option" in refused.get(word, "") for word in PLAINTEXT):
        setting = f"{prefix}_sasl_tls_security_options"
        if not settings.is_set(setting):
            setting = f"{prefix}_sasl_security_options"
        yield NO_PLAINTEXT.at(settings.origin(setting) or on, prefix=prefix, setting=setting)


def _tls_certain(settings: Settings) -> bool:
    """Whether TLS is demanded, or a table may demand it."""
    level = settings.text("smtp_tls_security_level")
    loose = level in ("", "none", "may", "dane")
    return not loose or bool(settings.items("smtp_tls_policy_maps")) or settings.flag("smtp_tls_wrappermode")
