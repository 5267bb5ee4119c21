"""ldap: a search in a directory, ldap_table(5), through bonsai (`pip install 'tayori[ldap]'`).

server_host, server_port, search_base, query_filter, result_attribute, special_result_attribute (DNs and LDAP URLs are
followed), terminal_result_attribute, leaf_result_attribute, result_format, domain, scope, bind (no, yes, sasl),
bind_dn, bind_pw, sasl_mechs, sasl_realm, sasl_authz_id, timeout, size_limit, expansion_limit, recursion_limit,
start_tls, tls_require_cert, tls_ca_cert_file, tls_ca_cert_dir, tls_cert, tls_key, chase_referrals. `dereference`, the
cache_* settings and debuglevel are taken and have no effect.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from tayori.config.origin import ConfigError
from tayori.tables.blocking import BrokenTable, Lost, Wrong
from tayori.tables.dbconfig import DatabaseConfig, Unreadable
from tayori.tables.forked import ForkedTable
from tayori.tables.outcome import Table
from tayori.tables.spec import Spec
from tayori.tables.sql import text_of
from tayori.tables.template import Frame, compiled

SCOPES = {"base": 0, "one": 1, "sub": 2}
ANY = "(objectClass=*)"


def filter_quote(text: str) -> str:
    """RFC 4515 3: the characters that mean something in a filter."""
    return "".join(f"\\{ord(char):02x}" if char in "*()\\\0" else char for char in text)


def dn_quote(text: str) -> str:
    """RFC 4514 2.4: a value inside a distinguished name."""
    out = [f"\\{char}" if char in ',+"\\<>;=' else char for char in text]
    if out and (out[0].startswith("#") or out[0] == " "):
        out[0] = f"\\{out[0]}"
    if len(out) > 1 and out[-1] == " ":
        out[-1] = "\\ "
    return "".join(out)


def server_urls(config: DatabaseConfig) -> tuple[str, ...]:
    """LDAP URLs of server_host and server_port."""
    port = config.number("server_port", 389, 1)
    urls = []
    for host in config.items("server_host", "localhost"):
        if "://" in host:
            urls.append(host)
        elif ":" in host.rpartition("]")[2]:
            urls.append(f"ldap://{host}")
        else:
            urls.append(f"ldap://{host}:{port}")
    return tuple(urls)


class LdapBackend:
    """Blocking connections of bonsai, which may hang with the interpreter's lock: used in children only."""

    def __init__(self, config: DatabaseConfig) -> None:
        try:
            self._library: Any = importlib.import_module("bonsai")
        except ImportError:
            raise ConfigError(
                "tables of type ldap need bonsai", config.spec.origin, "pip install 'tayori[ldap]'"
            ) from None
        if not config.text("search_base"):
            raise config.bad("search_base", "search_base is missing", "write search_base = dc=example,dc=com")
        self._base = compiled(config, "search_base", "")
        self._filter = compiled(config, "query_filter", "(mailacceptinggeneralid=%s)")
        names = [("result_attribute", "maildrop"), ("special_result_attribute", "")]
        names += [("terminal_result_attribute", ""), ("leaf_result_attribute", "")]
        chosen = [frozenset(map(str.lower, config.items(*pair))) for pair in names]
        self._results, self._special, self._terminal, self._leaf = chosen
        self._attributes = sorted(frozenset().union(*chosen))
        scope = config.text("scope", "sub").lower()
        if scope not in SCOPES:
            raise config.bad("scope", f"scope = {scope}", "write sub, one or base")
        self._scope = SCOPES[scope]
        self.timeout = float(config.number("timeout", 10, 1))
        self._limit = config.limit("expansion_limit")
        self._size = config.limit("size_limit", self._limit)
        self._depth = config.number("recursion_limit", 1000, 1)
        self._read_login(config)

    def _read_login(self, config: DatabaseConfig) -> None:
        self._bind = config.text("bind", "yes").lower()
        if self._bind not in ("no", "none", "yes", "simple", "sasl"):
            raise config.bad("bind", f"bind = {self._bind}", "write no, yes or sasl")
        self._user = config.text("bind_dn")
        self._secret = config.text("bind_pw")
        self._mechanism = (config.items("sasl_mechs") or ("DIGEST-MD5",))[0]
        self._realm = config.text("sasl_realm") or None
        self._authz = config.text("sasl_authz_id") or None
        self._start_tls = config.flag("start_tls", False)
        self._require = config.flag("tls_require_cert", False)
        self._referrals = config.text("chase_referrals", "0") not in ("0", "no")
        names = ("tls_ca_cert_file", "tls_ca_cert_dir", "tls_cert", "tls_key")
        self._ca_file, self._ca_dir, self._cert, self._key = (config.text(name) for name in names)

    def connect(self, host: str) -> Any:
        """Connect and bind."""
        try:
            client = self._library.LDAPClient(host, self._start_tls)
            client.set_cert_policy("demand" if self._require else "allow")
            client.server_chase_referrals = self._referrals
            for value, set_it in (
                (self._ca_file, client.set_ca_cert),
                (self._ca_dir, client.set_ca_cert_dir),
                (self._cert, client.set_client_cert),
                (self._key, client.set_client_key),
            ):
                if value:
                    set_it(value)
            if self._bind in ("yes", "simple") and self._user:
                client.set_credentials("SIMPLE", user=self._user, password=self._secret)
            elif self._bind == "sasl":
                client.set_credentials(
                    self._mechanism, self._user or None, self._secret or None, self._realm, self._authz
                )
            return client.connect(timeout=self.timeout)
        except (self._library.LDAPError, OSError, ValueError) as error:
            raise Lost(f"{host}: {error}") from None

    def fetch(self, connection: Any, key: str) -> list[str] | None:
        """Search, and follow special attributes."""
        base = self._base.of_key(key, dn_quote)
        query = self._filter.of_key(key, filter_quote)
        if base is None or query is None:
            return None
        if not query.startswith("("):
            query = f"({query})"
        values: list[str] = []
        self._collect(connection, base, self._scope, query, self._attributes, values, 1)
        return values

    def _search(self, connection: Any, base: str, scope: int, query: str, wanted: list[str]) -> list[Any]:
        library = self._library
        try:
            found = connection.search(base, scope, query, wanted or None, timeout=self.timeout, sizelimit=self._size)
        except library.errors.NoSuchObjectError:
            return []
        except (
            library.errors.ConnectionError,
            library.errors.ClosedConnection,
            library.errors.TimeoutError,
        ) as error:
            raise Lost(str(error)) from None
        except (library.LDAPError, ValueError) as error:
            raise Wrong(str(error)) from None
        return list(found)

    def _collect(
        self, connection: Any, base: str, scope: int, query: str, wanted: list[str], values: list[str], depth: int
    ) -> None:
        if depth > self._depth:
            raise Wrong(f"more than recursion_limit = {self._depth} nested entries")
        for entry in self._search(connection, base, scope, query, wanted):
            found = {name.lower(): texts for name in entry if name != "dn" and (texts := _texts(entry, name))}
            kept = [name for name in map(str.lower, wanted) if name in found]
            special = {name for name in kept if name in self._special}
            plain = {name for name in kept if name in self._terminal} or {
                name for name in kept if name in self._results or (not special and name in self._leaf)
            }
            if plain & self._terminal:
                special = set()
            # In the order in which the directory has them, members in the place where they are named.
            for name, texts in found.items():
                if name in plain:
                    values.extend(texts)
                    if self._limit and len(values) > self._limit:
                        raise Wrong(f"more than expansion_limit = {self._limit} results")
                elif name in special:
                    for reference in texts:
                        self._follow(connection, reference, values, depth + 1)

    def _follow(self, connection: Any, reference: str, values: list[str], depth: int) -> None:
        if not reference.lower().startswith(("ldap://", "ldaps://", "ldapi://")):
            self._collect(connection, reference, SCOPES["base"], ANY, self._attributes, values, depth)
            return
        try:
            url = self._library.LDAPURL(reference)
        except ValueError:
            raise Wrong(f"the entry has an LDAP URL that is wrong: {reference}") from None
        asked = {name.lower() for name in url.attributes}
        wanted = [name for name in self._attributes if not asked or name.lower() in asked]
        if wanted:
            query = url.filter_exp or ANY
            self._collect(connection, str(url.basedn), int(url.scope_num), query, wanted, values, depth)

    def disconnect(self, connection: Any) -> None:
        """Close it."""
        with contextlib.suppress(self._library.LDAPError):
            connection.close()


def _texts(entry: Any, name: str) -> list[str]:
    return [text_of(value) if isinstance(value, bytes) else str(value) for value in entry[name]]


def open_ldap(spec: Spec) -> Table:
    """Open ldap:/file.cf. Raises ConfigError."""
    try:
        config = DatabaseConfig(spec)
    except Unreadable as error:
        return BrokenTable(spec, str(error))
    backend = LdapBackend(config)
    return ForkedTable(spec, Frame(config), backend, server_urls(config), 2 * backend.timeout)
