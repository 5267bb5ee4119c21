"""kerberos5: the password is right when the KDC gives a ticket for it, and our own keytab confirms the KDC.

Without the second half anybody who can answer in the KDC's name could let himself in. Through the gssapi library:
`pip install 'tayori[gssapi]'` (Debian: libkrb5-dev to build it), for root, with a key `service/host` in the keytab.
"""

from __future__ import annotations

from types import ModuleType

from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble


def _library() -> ModuleType:
    try:
        import gssapi
    except ImportError as error:
        raise Trouble("needs the gssapi library: pip install 'tayori[gssapi]' (Debian: libkrb5-dev)") from error
    return gssapi


class Kerberos:
    """Verifier. `hostname` names our own service in the keytab."""

    secrets = False

    def __init__(self, hostname: str, *, seconds: float = 20.0) -> None:
        self.name = "kerberos5"
        self._hostname = hostname
        self._guard = Guard(self.name, at_once=4, seconds=seconds)

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Ask the KDC, in a thread."""
        return await self._guard.run_in_thread(lambda: self._check(username, password, realm, service))

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """A KDC gives no secrets."""
        return Refused("a KDC can only check passwords", self.name)

    async def probe(self) -> str:
        """Empty when the library is there."""
        try:
            _library()
        except Trouble as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Let go of the threads."""
        self._guard.close()

    def _check(self, username: str, password: str, realm: str, service: str) -> Verdict:
        gssapi = _library()
        principal = f"{username}@{realm}" if realm else username
        own = gssapi.Name(f"{service or 'smtp'}@{self._hostname}", gssapi.NameType.hostbased_service)
        try:
            user = gssapi.Name(principal, gssapi.NameType.user)
            got = gssapi.raw.acquire_cred_with_password(user, password.encode(), usage="initiate")
        except gssapi.exceptions.GSSError as error:
            return Refused(f"the KDC gives no ticket: {str(error)[:150]}", self.name)
        try:
            client = gssapi.SecurityContext(name=own, creds=gssapi.Credentials(got.creds), usage="initiate")
            server = gssapi.SecurityContext(creds=gssapi.Credentials(name=own, usage="accept"), usage="accept")
            server.step(client.step())
        except gssapi.exceptions.GSSError as error:
            raise Trouble(f"our keytab cannot confirm the KDC: {str(error)[:150]}") from error
        return Accepted(principal, self.name)
