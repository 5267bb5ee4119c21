"""Which verifiers a configuration asks for, in order.

`pwcheck_method` of smtpd.conf names them; `auxprop` stands for the stores of `auxprop_plugin`. Beside Cyrus's words
(saslauthd, auxprop, alwaystrue) tayori knows: accounts (also `tayori`), passwd-file, ldap, rimap, httpform, oauth.
Without any smtpd.conf the account file DIR/accounts counts, if it exists, else Cyrus's default, auxprop with sasldb,
if that file exists, else the account file that is still to be made.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl.accounts import FILE_NAME
from tayori.sasl.verifiers.accounts import Accounts
from tayori.sasl.verifiers.base import Verifier
from tayori.sasl.verifiers.saslauthd import Saslauthd

SASLDB_PATH = "/etc/sasldb2"
FORCE_ALWAYSTRUE = "alwaystrue_i_know_that_anybody_may_send"

Maker = Callable[[Settings, SmtpdConf], Verifier]


def own_domains(settings: Settings) -> tuple[str, ...]:
    """Realms for which a bare account name counts."""
    names = ("smtpd_sasl_local_domain", "myhostname", "mydomain", "myorigin")
    return tuple(dict.fromkeys(text for name in names if (text := settings.text(name)) and not text.startswith("/")))


def _accounts(settings: Settings, conf: SmtpdConf) -> Verifier:
    path = conf.get("accounts_path") or str(Path(settings.directory) / FILE_NAME)
    return Accounts(path, domains=own_domains(settings))


def _saslauthd(settings: Settings, conf: SmtpdConf) -> Verifier:
    return Saslauthd(conf.get("saslauthd_path"))


def _alwaystrue(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.alwaystrue import AlwaysTrue

    if conf.get(FORCE_ALWAYSTRUE).lower() != "yes":
        raise ConfigError(
            "alwaystrue lets anybody in with any password, and so makes an open relay",
            conf.origin("pwcheck_method"),
            f"choose another pwcheck_method; for a test that nobody else can reach, add {FORCE_ALWAYSTRUE}: yes",
        )
    return AlwaysTrue()


def _passwd_file(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.passwd_file import PasswdFile

    path = _need(conf, "passwd_file", "/etc/tayori/users")
    return PasswdFile(path, default_scheme=conf.get("passwd_file_scheme", "CRYPT"), domains=own_domains(settings))


def _sasldb(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.sasldb import Sasldb

    return Sasldb(conf.get("sasldb_path") or SASLDB_PATH, hostname=settings.text("myhostname"))


def _sql(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.sql import Sql

    return Sql.from_conf(conf, settings.text("myhostname"))


def _ldapdb(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.ldap import LdapStore

    return LdapStore.from_conf(conf, settings.text("myhostname"))


def _ldap(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.ldap import LdapBind

    return LdapBind.from_conf(conf)


def _rimap(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.rimap import Rimap

    return Rimap.from_option(_need(conf, "rimap_server", "imap.example.com/993"))


def _httpform(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.httpform import HttpForm

    return HttpForm.from_conf(conf)


def _oauth(settings: Settings, conf: SmtpdConf) -> Verifier:
    from tayori.sasl.verifiers.oauth import OAuth

    return OAuth.from_conf(conf)


def _need(conf: SmtpdConf, key: str, example: str) -> str:
    value = conf.get(key)
    if not value:
        raise ConfigError(
            f"{key} is not set", Origin(conf.path) if conf.path else None, f"add the line {key}: {example}"
        )
    return value


METHODS: dict[str, Maker] = {
    "saslauthd": _saslauthd,
    "accounts": _accounts,
    "tayori": _accounts,
    "alwaystrue": _alwaystrue,
    "passwd-file": _passwd_file,
    "ldap": _ldap,
    "rimap": _rimap,
    "httpform": _httpform,
    "oauth": _oauth,
}
PLUGINS: dict[str, Maker] = {"sasldb": _sasldb, "sql": _sql, "ldapdb": _ldapdb}
GONE: dict[str, str] = {
    "authdaemond": "Courier's authdaemond is not spoken to; use its database by auxprop_plugin: sql",
    "pwcheck": "pwcheck was replaced by saslauthd in 2001: write pwcheck_method: saslauthd",
    "pam": "only root may ask PAM: start `tayori saslauthd -a pam` and write pwcheck_method: saslauthd",
    "shadow": "only root may read shadow: start `tayori saslauthd -a shadow` and write pwcheck_method: saslauthd",
}


def choose(settings: Settings, conf: SmtpdConf) -> tuple[Verifier, ...]:
    """The verifiers in order. Raises ConfigError with the line for a word that is not known."""
    made = tuple(maker(settings, conf) for maker in makers(settings, conf))
    for verifier in made:
        preload(getattr(verifier, "libraries", ()))
    return made


def preload(libraries: Iterable[str]) -> None:
    """Import optional libraries now: a worker gives root up later, and may then not read where Python is kept.

    One that is absent is the verifier's to complain about, by `probe`.
    """
    for name in libraries:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def origin(settings: Settings, conf: SmtpdConf) -> Origin | None:
    """The line to mend when they do not work."""
    if conf.path:
        return conf.origin("pwcheck_method") or Origin(conf.path)
    return settings.origin("smtpd_sasl_auth_enable")


def makers(settings: Settings, conf: SmtpdConf) -> tuple[Maker, ...]:
    """The rows of METHODS and PLUGINS that the configuration asks for."""
    methods = conf.words("pwcheck_method")
    if not methods:
        if not conf.path and (os.path.exists(f"{settings.directory}/{FILE_NAME}") or not os.path.exists(SASLDB_PATH)):
            return (_accounts,)
        methods = ("auxprop",)
    found: list[Maker] = []
    for word in methods:
        method = word.lower()
        if method in ("auxprop", "auxprop-hashed"):
            found += _plugins(conf)
        elif method in METHODS:
            found.append(METHODS[method])
        else:
            mend = GONE.get(method, "write one or several of: auxprop " + " ".join(METHODS))
            raise ConfigError(f"pwcheck_method: {word} is not known", conf.origin("pwcheck_method"), mend)
    return tuple(dict.fromkeys(found))


def _plugins(conf: SmtpdConf) -> list[Maker]:
    words = conf.words("auxprop_plugin")
    if not words:  # Cyrus loads every plug-in that it has; those without their own settings do nothing
        optional = [("sql_select", "sql"), ("ldapdb_uri", "ldapdb")]
        words = ("sasldb", *(plugin for key, plugin in optional if conf.get(key)))
    for word in words:
        if word.lower() not in PLUGINS:
            mend = "write one or several of: " + " ".join(PLUGINS)
            raise ConfigError(f"auxprop_plugin: {word} is not known", conf.origin("auxprop_plugin"), mend)
    return [PLUGINS[word.lower()] for word in words]
