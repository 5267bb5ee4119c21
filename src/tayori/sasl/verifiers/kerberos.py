"""kerberos5: the password is right when the KDC gives a ticket for it, and our own keytab confirms the KDC.

Without the second half anybody who can answer in the KDC's name could let himself in: with the first ticket another
one for a service of this machine is asked for, and a key that only the real KDC shares with us must open it. That is
`host/this-machine` (as with Cyrus's saslauthd), else `service/this-machine`. The file named with -O may say, in
Cyrus's words, krb5_keytab (where the key is), krb5_verify_principal (instead of `host`) and krb5_servername (instead
of this machine's name).

Through the gssapi library: `pip install 'tayori[gssapi]'` (Debian: libkrb5-dev to build it).
"""

from __future__ import annotations

from typing import Any

from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl.mechanisms import gssapi
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble

# What a KDC says of a name or password that is not right (RFC 4120 7.5.9; krb5.h counts them from this base up).
_BASE = -1765328384
_NO = {
    1: "the account has expired",
    6: "no such principal",
    9: "no key",
    12: "not now, by the KDC's policy",
    18: "locked",
    21: "not valid yet",
    23: "the password has expired",
    24: "wrong password",
    31: "wrong password",
    154: "no KDC is known for that realm",
    210: "wrong password",
}


class Kerberos:
    """Verifier. `keytab` empty: the library's own; `principal` of the service that confirms, `server` its machine."""

    secrets = False

    def __init__(self, *, keytab: str = "", principal: str = "", server: str = "", seconds: float = 20.0) -> None:
        self.name = "kerberos5"
        self._keytab = keytab
        self._principal = principal or "host"
        self._server = server
        self._guard = Guard(self.name, at_once=4, seconds=seconds)

    @classmethod
    def from_conf(cls, conf: SmtpdConf) -> Kerberos:
        """By krb5_keytab, krb5_verify_principal and krb5_servername."""
        return cls(
            keytab=conf.get("krb5_keytab"),
            principal=conf.get("krb5_verify_principal"),
            server=conf.get("krb5_servername"),
        )

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Ask the KDC, in a thread."""
        principal = f"{username}@{realm}" if realm else username
        return await self._guard.run_in_thread(lambda: self._check(principal, password, service or "smtp"))

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """A KDC gives no secrets."""
        return Refused("a KDC can only check passwords", self.name)

    async def probe(self) -> str:
        """Empty when the library and a key of our own are there; the KDC is not asked."""

        def look() -> str:
            self._own_key(_library(), "smtp")
            return ""

        answer = await self._guard.run_in_thread(look)
        return answer.why if isinstance(answer, TryLater) else answer

    def close(self) -> None:
        """Let go of the threads."""
        self._guard.close()

    def _check(self, principal: str, password: str, service: str) -> Verdict:
        gss = _library()
        own, credentials = self._own_key(gss, service)
        home = _realm(gss.Name("x", gss.NameType.user).canonicalize(gss.MechType.kerberos))
        try:
            if "\0" in principal:
                return Refused("a NUL in the name", self.name)
            named = gss.Name(_octets(principal), gss.NameType.user)
            user = named.canonicalize(gss.MechType.kerberos)
        except gss.exceptions.GSSError:
            return Refused("not a principal's name", self.name)
        foreign = _realm(user) != home
        try:
            ticket = gss.raw.acquire_cred_with_password(
                user, _octets(password), mechs=[gss.MechType.kerberos], usage="initiate"
            )
        except gss.exceptions.GSSError as error:
            why = _NO.get(_code(error))
            if why:
                return Refused(why, self.name)
            return self._cannot(f"the KDC cannot be asked: {gssapi.words(error)}", foreign)
        try:
            client = gss.SecurityContext(
                name=own, creds=gss.Credentials(ticket.creds), mech=gss.MechType.kerberos, usage="initiate"
            )
            server = gss.SecurityContext(creds=credentials, usage="accept")
            server.step(client.step())
            # asked inside the try: the library keeps an error of `step` back until the next question
            confirmed = server.complete and bytes(server.initiator_name) == bytes(user)
        except gss.exceptions.GSSError as error:
            return self._cannot(f"our keytab cannot confirm that it is the real KDC: {gssapi.words(error)}", foreign)
        return Accepted(principal, self.name) if confirmed else self._cannot("a ticket for somebody else", foreign)

    def _cannot(self, why: str, foreign: bool) -> TryLater:
        """Trouble for the breaker, unless the client chose a realm that is not ours: he must not shut out others."""
        if foreign:
            return TryLater(why, self.name)
        raise Trouble(why)

    def _own_key(self, gss: Any, service: str) -> tuple[Any, Any]:
        """The service that confirms, and its credentials from the keytab. Raises Trouble."""
        at = f"@{self._server}" if self._server else ""
        store = {"keytab": self._keytab} if self._keytab else None
        for name in dict.fromkeys((self._principal, service)):
            own = gss.Name(f"{name}{at}", gss.NameType.hostbased_service)
            try:
                return own, gss.Credentials(name=own, usage="accept", mechs=[gss.MechType.kerberos], store=store)
            except gss.exceptions.GSSError as error:
                why = gssapi.words(error)
        place = self._keytab or "the keytab"
        raise Trouble(f"no key for {self._principal} in {place}, so a false KDC could not be told: {why}")


def _library() -> Any:
    try:
        return gssapi.library()
    except ImportError as error:
        raise Trouble(gssapi.NO_LIBRARY) from error


def _octets(text: str) -> bytes:
    """As the client sent it."""
    return text.encode("utf-8", "surrogateescape")


def _code(error: Any) -> int:
    """Which Kerberos error it was, counted from the base of the table; anything else is out of its range."""
    return int((error.min_code - _BASE) & 0xFFFFFFFF)


def _realm(name: Any) -> bytes:
    return bytes(name).rpartition(b"@")[2]
