"""ldap: passwords checked by binding to a directory (as saslauthd's `-a ldap`), or secrets read from it (`ldapdb`).

Bind (`pwcheck_method: ldap`, `tayori saslauthd -a ldap`); keys as in Cyrus's saslauthd.conf: ldap_servers,
ldap_search_base, ldap_filter (default uid=%u), ldap_scope, ldap_bind_dn, ldap_bind_pw (also ldap_password),
ldap_auth_method (bind or fastbind), ldap_start_tls, ldap_tls_cacert_file, ldap_timeout.
Store (`auxprop_plugin: ldapdb`): ldapdb_uri, ldapdb_id, ldapdb_pw, ldapdb_mech, ldapdb_starttls; and, ours,
ldapdb_base, ldapdb_filter and ldapdb_binddn to search with a simple bind instead of proxy authorisation.
Both ask through the bonsai library, `pip install 'tayori[ldap]'` (Debian: libldap-dev libsasl2-dev to build it), in
processes of their own (`children`).
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

from tayori.config.origin import ConfigError
from tayori.config.smtpdconf import SmtpdConf
from tayori.net.children import Children
from tayori.sasl import hashes
from tayori.sasl.decoy import Likeness
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble

SECONDS = 10
_MARK = re.compile("%([uUdrRps%])")
_FILTER_ESCAPES = {c: f"\\{ord(c):02x}" for c in "\\*()\0"}
_DN_SPECIAL = re.compile(r'([\\",+<>;=#])')


def escape_filter(text: str) -> str:
    """A value inside a search filter (RFC 4515 3)."""
    return "".join(_FILTER_ESCAPES.get(c, c) for c in text)


def escape_dn(text: str) -> str:
    """A value inside a distinguished name (RFC 4514 2.4)."""
    text = _DN_SPECIAL.sub(r"\\\1", text).replace("\0", "\\00")
    return text if text.strip(" ") == text else text.replace(" ", "\\20")


def fill(template: str, username: str, realm: str, service: str = "", *, dn: bool = False) -> str:
    """Substitute as Cyrus does: %u the user, %U its part before "@", %d and %r the realm, %s the service."""
    name, at, domain = username.rpartition("@")
    values = {
        "u": username,
        "U": name if at else username,
        "d": domain if at else realm,
        "r": realm,
        "R": realm,
        "s": service,
        "p": "",
        "%": "%",
    }
    escape = escape_dn if dn else escape_filter
    return _MARK.sub(lambda m: values[m[1]] if m[1] == "%" else escape(values[m[1]]), template)


def _library() -> ModuleType:
    try:
        import bonsai
    except ImportError as error:
        raise Trouble(
            "needs the bonsai library: pip install 'tayori[ldap]' (Debian: libldap-dev libsasl2-dev)"
        ) from error
    return bonsai


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:150]}"


class LdapBind:
    """Verifier: find the entry, then bind as it."""

    secrets = False
    libraries = ("bonsai", "bonsai.asyncio")

    def __init__(
        self,
        uri: str,
        base: str,
        filter_: str = "uid=%u",
        *,
        scope: str = "sub",
        bind_dn: str = "",
        bind_password: str = "",
        fast: bool = False,
        start_tls: bool = False,
        ca_file: str = "",
        seconds: int = SECONDS,
    ) -> None:
        self.name = f"ldap:{uri}"
        self._uri, self._base, self._scope = uri, base, scope
        self._filter = filter_ if filter_.startswith("(") else f"({filter_})"
        self._bind = (bind_dn, bind_password)
        self._fast = fast
        self._tls = (start_tls, ca_file)
        self._seconds = seconds
        self._guard = Guard(self.name, at_once=4, seconds=float(seconds * 2))
        self._children = Children(self._work, Trouble)

    @classmethod
    def from_conf(cls, conf: SmtpdConf) -> LdapBind:
        """Raises ConfigError."""
        base = conf.get("ldap_search_base")
        fast = conf.get("ldap_auth_method", "bind").lower() == "fastbind"
        if not base and not fast:
            raise ConfigError(
                "ldap needs ldap_search_base", conf.origin("ldap_servers"), "add ldap_search_base: dc=example,dc=com"
            )
        return cls(
            conf.words("ldap_servers")[0] if conf.words("ldap_servers") else "ldap://localhost",
            base,
            conf.get("ldap_filter", "uid=%u"),
            scope=conf.get("ldap_scope", "sub").lower(),
            bind_dn=conf.get("ldap_bind_dn"),
            bind_password=conf.get("ldap_bind_pw") or conf.get("ldap_password"),
            fast=fast,
            start_tls=conf.get("ldap_start_tls", "no").lower() in ("yes", "true", "on", "1"),
            ca_file=conf.get("ldap_tls_cacert_file"),
            seconds=int(conf.get("ldap_timeout") or SECONDS),
        )

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """An empty password is refused here: a server would take it for nobody, and say yes (RFC 4513 5.1.2)."""
        if not password or "\0" in username + password:
            return Refused("an empty password", self.name)
        answer = await self._guard.run(lambda: self._children.ask("check", username, password, realm, service))
        if isinstance(answer, TryLater):
            return answer
        accepted, text = answer
        return Accepted(text, self.name) if accepted else Refused(text, self.name)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Binding gives no secrets."""
        return Refused("binding can only check passwords (auxprop_plugin: ldapdb reads secrets)", self.name)

    async def probe(self) -> str:
        """Empty when the directory can be bound to."""

        answer = await self._guard.run(lambda: self._children.ask("look", "", "", "", ""))
        return answer.why if isinstance(answer, TryLater) else ""

    def close(self) -> None:
        """End the processes."""
        self._guard.close()
        self._children.close()

    def _work(self, what: str, username: str, password: str, realm: str, service: str) -> tuple[bool, str]:
        """In a child: (whether it holds, the user or why not). Raises Trouble."""
        if what == "look":
            if not self._fast:
                self._connect(*self._bind).close()
            return True, ""
        return self._check(username, password, realm, service)

    def _check(self, username: str, password: str, realm: str, service: str) -> tuple[bool, str]:
        bonsai = _library()
        if self._fast:
            dn = fill(self._filter[1:-1], username, realm, service, dn=True)
        else:
            connection = self._connect(*self._bind)
            try:
                scope = {"sub": 2, "one": 1, "base": 0}.get(self._scope, 2)
                found = connection.search(
                    fill(self._base, username, realm, service, dn=True),
                    scope,
                    fill(self._filter, username, realm, service),
                    ["1.1"],
                    timeout=self._seconds,
                    sizelimit=2,
                )
            except bonsai.LDAPError as error:
                raise Trouble(_words(error)) from error
            finally:
                connection.close()
            if len(found) != 1:
                return False, "no entry" if not found else "several entries"
            dn = str(found[0].dn)
        try:
            self._connect(dn, password, own=False).close()
        except bonsai.AuthenticationError:
            return False, f"{dn} cannot bind with this password"
        except bonsai.LDAPError as error:
            raise Trouble(_words(error)) from error
        return True, f"{username}@{realm}" if realm else username

    def _connect(self, dn: str, password: str, own: bool = True) -> Any:
        bonsai = _library()
        try:
            client = _client(bonsai, self._uri, *self._tls)
            if dn:
                client.set_credentials("SIMPLE", user=dn, password=password)
            return client.connect(timeout=self._seconds)
        except bonsai.AuthenticationError as error:
            if not own:
                raise
            raise Trouble("our own bind (ldap_bind_dn, ldap_bind_pw) is refused") from error
        except bonsai.LDAPError as error:
            raise Trouble(_words(error)) from error


def _client(bonsai: ModuleType, uri: str, start_tls: bool, ca_file: str = "") -> Any:
    client = bonsai.LDAPClient(uri, start_tls)
    client.set_cert_policy("demand")
    if ca_file:
        client.set_ca_cert(ca_file)
    return client


class LdapStore:
    """Verifier: reads userPassword (and SCRAM keys in it, or in authPassword) from the user's entry."""

    secrets = True
    libraries = ("bonsai", "bonsai.asyncio")

    def __init__(
        self,
        uri: str,
        *,
        hostname: str,
        user: str = "",
        password: str = "",
        mechanism: str = "DIGEST-MD5",
        bind_dn: str = "",
        base: str = "",
        filter_: str = "(uid=%U)",
        start_tls: bool = False,
        seconds: int = SECONDS,
    ) -> None:
        self.name = f"ldapdb:{uri}"
        self._uri, self._hostname = uri, hostname
        self._user, self._password, self._mechanism = user, password, mechanism
        self._bind_dn, self._base, self._filter = bind_dn, base, filter_
        self._start_tls = start_tls
        self._seconds = seconds
        self._guard = Guard(self.name, at_once=4, seconds=float(seconds * 2))
        self._children = Children(self._work, Trouble)
        self._hashing = Guard(self.name, at_once=2)
        self._likeness = Likeness("PLAIN")

    @classmethod
    def from_conf(cls, conf: SmtpdConf, hostname: str) -> LdapStore:
        """Raises ConfigError."""
        uri = conf.get("ldapdb_uri")
        if not uri:
            raise ConfigError(
                "ldapdb needs ldapdb_uri", conf.origin("auxprop_plugin"), "add ldapdb_uri: ldap://localhost"
            )
        filter_ = conf.get("ldapdb_filter", "(uid=%U)")
        return cls(
            uri,
            hostname=hostname,
            user=conf.get("ldapdb_id"),
            password=conf.get("ldapdb_pw"),
            mechanism=conf.get("ldapdb_mech", "DIGEST-MD5").upper(),
            bind_dn=conf.get("ldapdb_binddn"),
            base=conf.get("ldapdb_base"),
            filter_=filter_ if filter_.startswith("(") else f"({filter_})",
            start_tls=conf.get("ldapdb_starttls", "no").lower() in ("try", "demand", "yes"),
        )

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Read the stored password and compare."""

        stored = await self._guard.run(lambda: self._children.ask("read", username, realm, "userPassword"))
        if isinstance(stored, TryLater):
            return stored

        def compare() -> bool | TryLater:
            try:
                return any(self._likeness.matches(text, password) for text in stored or (None,))
            except hashes.UnknownScheme as error:
                return TryLater(str(error), self.name)  # one user's entry, no trouble with the directory

        fits = await self._hashing.run_in_thread(compare)
        if isinstance(fits, TryLater):
            return fits
        if not stored:
            return Refused(f"no entry with userPassword for {username}", self.name)
        if not fits:
            return Refused("wrong password", self.name)
        return Accepted(f"{username}@{realm}" if realm else username, self.name)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """Plain passwords and SCRAM keys."""
        names = ("userPassword", "authPassword")
        stored = await self._guard.run(lambda: self._children.ask("read", username, realm, *names))
        if isinstance(stored, TryLater):
            return stored
        values = dict(hashes.property_of(text) for text in stored)
        chosen = {name: value.encode("utf-8", "surrogateescape") for name, value in values.items() if name in wanted}
        if chosen:
            return Secret(chosen, self.name)
        why = "stored in a form that this mechanism cannot use" if stored else "no entry, or not readable by us"
        return Refused(why, self.name)

    async def probe(self) -> str:
        """Empty when the directory lets us in."""
        answer = await self._guard.run(lambda: self._children.ask("look", "", ""))
        return answer.why if isinstance(answer, TryLater) else ""

    def close(self) -> None:
        """End the processes and let go of the threads."""
        self._guard.close()
        self._hashing.close()
        self._children.close()

    def _work(self, what: str, username: str, realm: str, *attributes: str) -> list[str]:
        """In a child: the values. Raises Trouble."""
        if what == "look":
            self._connect("").close()
            return []
        return self._read(username, realm, attributes)

    def _connect(self, proxy_for: str) -> Any:
        bonsai = _library()
        try:
            client = _client(bonsai, self._uri, self._start_tls)
            if self._bind_dn:
                client.set_credentials("SIMPLE", user=self._bind_dn, password=self._password)
            elif self._user:
                authzid = f"u:{proxy_for}" if proxy_for else None
                client.set_credentials(self._mechanism, user=self._user, password=self._password, authz_id=authzid)
            return client.connect(timeout=self._seconds)
        except (bonsai.LDAPError, ValueError, TypeError) as error:
            raise Trouble(_words(error)) from error

    def _read(self, username: str, realm: str, attributes: tuple[str, ...]) -> list[str]:
        bonsai = _library()
        name = f"{username}@{realm}" if realm else username
        connection = self._connect("" if self._base else username)
        try:
            if self._base:
                base, scope, filter_ = fill(self._base, name, realm, dn=True), 2, fill(self._filter, name, realm)
            else:
                identity = connection.whoami(timeout=self._seconds)
                if not identity.startswith("dn:"):
                    return []
                base, scope, filter_ = identity.removeprefix("dn:"), 0, "(objectClass=*)"
            found = connection.search(base, scope, filter_, list(attributes), timeout=self._seconds, sizelimit=2)
        except bonsai.LDAPError as error:
            raise Trouble(_words(error)) from error
        finally:
            connection.close()
        if len(found) != 1:
            return []
        values = [value for attribute in attributes for value in found[0].get(attribute, [])]
        return [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in values]
