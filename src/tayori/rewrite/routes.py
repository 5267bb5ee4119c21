"""Sender-specified routing (`user%site@domain`, `site!user@domain`, `user@site@domain`): where an address goes.

At a domain of ours the operators that allow_percent_hack and swap_bangpath obey are followed. What is left of them in
the local part the next machine may obey: unless allow_untrusted_routing says otherwise, such an address is
suspicious, and nothing that an access table says of it may open the way for it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tayori.config.settings import Settings
from tayori.rewrite.form import Form
from tayori.rewrite.results import AddressClass, Classified, Deferred

MAX_ROUTES = 10
OPERATORS = frozenset("@%!")


class Followed(NamedTuple):
    """The address at the end of its route; one whose route has no end is suspicious, whatever is allowed."""

    address: str
    suspicious: bool


class Classifier(Protocol):
    """rewrite.classes.Classes."""

    async def classify(self, domain: str) -> Classified | Deferred:
        """The class of a domain."""
        ...


class Routes:
    """The rules of one configuration."""

    def __init__(self, settings: Settings, classes: Classifier) -> None:
        self.form = Form(settings)
        self._classes = classes
        self._untrusted = settings.flag("allow_untrusted_routing")
        self._myhostname = settings.text("myhostname")

    async def follow(self, address: str) -> Followed | Deferred:
        """`address` as a client wrote it, in standard form, its route followed."""
        address = self.form.envelope(address)
        for _ in range(MAX_ROUTES):
            local, at, domain = address.rpartition("@")
            if not at:
                address, local = f"{domain}@{self._myhostname}", domain
            if OPERATORS.isdisjoint(local):
                return Followed(address, False)
            found = await self._classes.classify(domain)
            if isinstance(found, Deferred):
                return found
            inner = self.form.routing(local) if found.kind is AddressClass.LOCAL else None
            if inner is None:
                return Followed(address, not self._untrusted)
            address = self.form.envelope("@".join(inner))
        return Followed(address, True)
