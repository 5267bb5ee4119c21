"""What the SMTP client needs to log in to a relay; where passwords are kept is the business of who implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tayori.sasl.steps import ClientMechanism


class Login(Protocol):
    """Credentials for one server. Its repr must not show the password."""

    def choose(self, offered: Sequence[str], tls: bool) -> tuple[str, ClientMechanism] | None:
        """The best mechanism of those offered that the security options allow, ready to run; None: none fits."""
        ...


class Logins(Protocol):
    """smtp_sasl_password_maps and its friends."""

    async def find(self, nexthop: str, host: str, sender: str) -> Login | None:
        """Credentials, or None to go on without AUTH. Raises LoginTrouble when the table cannot answer."""
        ...


class LoginTrouble(Exception):
    """The password table cannot be asked now: defer. The text is for the log."""
