"""The standard form of an address: trivial-rewrite(8) "rewrite context address".

In this order: source routes were stripped by the parser; `site!user` becomes `user@site` (swap_bangpath);
`user%domain` becomes `user@domain` (allow_percent_hack); an address without a domain gets `@$myorigin`
(append_at_myorigin); a domain without a dot gets `.$mydomain` (append_dot_mydomain); a dot at the end goes.
"""

from __future__ import annotations

import re

from tayori.config.settings import Settings

_SIGNS = "@!%"
_ROUTE = re.compile(r"@[^:<>\"]*:")


class Form:
    """Rewrites to standard form, as main.cf says."""

    def __init__(self, settings: Settings) -> None:
        completes = settings.flag("append_at_myorigin")
        self._origin = settings.text("myorigin") if completes else ""
        self._mydomain = settings.text("mydomain")
        self._bang = settings.flag("swap_bangpath")
        self._percent = settings.flag("allow_percent_hack")
        self._dot_mydomain = settings.flag("append_dot_mydomain")
        self._remote = settings.text("remote_header_rewrite_domain")
        self._remote_origin = self._remote if completes else ""

    def envelope(self, address: str) -> str:
        """The form used for envelope addresses and for headers of local clients; "" stays ""."""
        local, at, domain = address.rpartition("@")
        if at and local and "." in domain and domain[-1] != "." and local[0] != "@":
            return address
        return self._rewrite(address, self._origin, self._mydomain, _SIGNS)

    def header(self, address: str, remote: bool, signs: str = _SIGNS) -> str:
        """The form in a header; for a remote client only completed, with remote_header_rewrite_domain. `signs`: those
        of `@!%` that stand outside of quotes."""
        if remote:
            return self._rewrite(address, self._remote_origin, self._remote, signs)
        return self._rewrite(address, self._origin, self._mydomain, signs)

    def _rewrite(self, address: str, origin: str, parent: str, signs: str) -> str:
        if not address or (address == "@" and "@" in signs):
            return ""
        if address[0] == "@":
            route = _ROUTE.match(address)
            if route is not None:
                address = address[route.end() :]
        local, at, domain = address.rpartition("@") if "@" in signs else ("", "", address)
        if not at:
            local = domain
            if self._bang and "!" in signs and "!" in local:
                domain, _, local = local.partition("!")
            elif self._percent and "%" in signs and "%" in local:
                local, _, domain = local.rpartition("%")
            elif origin:
                domain = origin
            else:
                return address
        if domain.endswith(".") and len(domain) > 1 and domain[-2] != ".":
            domain = domain[:-1]
        elif self._dot_mydomain and parent and domain and "." not in domain and "[" not in domain:
            domain = f"{domain}.{parent}"
        return f"{local}@{domain}"

    def routing(self, local: str) -> tuple[str, str] | None:
        """For an address whose domain is our own: the address its local part routes to (`user@site`,
        `user%site`, `site!user` inside the local part), as (local, domain); None without routing operators."""
        if "@" in local:
            inner, _, domain = local.rpartition("@")
            return inner, domain
        if self._bang and "!" in local:
            domain, _, inner = local.partition("!")
            return inner, domain
        if self._percent and "%" in local:
            inner, _, domain = local.rpartition("%")
            return inner, domain
        return None


def local_domain(settings: Settings) -> str:
    """The domain of a local name without one, as trivial-rewrite(8) resolves it: $myorigin, but $myhostname where
    append_at_myorigin = no."""
    return settings.text("myorigin" if settings.flag("append_at_myorigin") else "myhostname")
