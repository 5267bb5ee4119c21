"""Both forms of internationalised domains: which xn-- name stands for which (RFC 5890)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tayori.programs.language import N_, Language
from tayori.protocol.idn import other_form

DNS = N_("DNS knows {domain} as {other}")
READS = N_("{domain} reads {other}")


def forms(addresses: Iterable[str | None], say: Language) -> Iterator[str]:
    """A line for each domain of the addresses that has another form."""
    domains = dict.fromkeys(address.rpartition("@")[2] for address in addresses if address)
    for domain in domains:
        if other := other_form(domain):
            yield say(READS if domain.isascii() else DNS, domain=domain, other=other)
