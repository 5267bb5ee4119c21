"""What the SMTP client needs to log in to a relay; where passwords are kept is the business of who implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tayori.sasl.steps import ClientMechanism
from tayori.tables.outcome import TempFail


class Login(Protocol):
    """Credentials for one server. Its repr must not show the password."""

    def choose(
        self,
        offered: Sequence[str],
        tls: bool,
        verified: bool = False,
        channel_bindings: Mapping[str, bytes] | None = None,
        certificate: bool = False,
    ) -> tuple[str, ClientMechanism] | None:
        """The best mechanism of those offered that the security options allow, ready to run; None: none fits.

        `certificate`: TLS is on and we have a client certificate.
        """
        ...

    async def remembered(self) -> str:
        """The server's words when it refused these very credentials before and need not be asked again; else ""."""
        ...

    async def refused(self, said: str = "") -> None:
        """Told when the server refused the credentials, so that a token can be renewed; `said`: its 535 reply."""
        ...


class Logins(Protocol):
    """smtp_sasl_password_maps and its friends: `sasl.client.PasswordMaps`."""

    async def find(self, nexthop: str, host: str, sender: str) -> Login | TempFail | None:
        """Credentials; None to go on without AUTH; TempFail (or LoginTrouble raised) when the table cannot answer."""
        ...


class LoginTrouble(Exception):
    """The password table cannot be asked now: defer. The text is for the log."""
