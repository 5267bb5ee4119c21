"""DNS lists: reject_rbl_client, reject_rhsbl_{client,reverse_client,helo,sender,recipient}, permit_dnswl_client,
permit_rhswl_client; reply filters `list=127.0.0.[2..11]`; default_rbl_reply and rbl_reply_maps (postconf(5)).

A list that does not answer refuses nobody; a permit list that does not answer turns a later refusal into "later".
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tayori.config.origin import ConfigError, Origin
from tayori.net.dns import DnsTempFail, Records
from tayori.policy.answers import PERMIT, Answer, DeferIfReject, Refusal, lookup_failed
from tayori.policy.expansion import allowed, fill
from tayori.policy.footer import session_values
from tayori.policy.generic import reply_code
from tayori.policy.names import without_dot
from tayori.policy.relay import Destinations, authorised
from tayori.policy.rule import Function, Resource, Rule
from tayori.rewrite.results import Deferred
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation

log = logging.getLogger("tayori.policy")

_PART = re.compile(r"\[([^\]]*)\]|(\d+)")
_CODED = re.compile(r"([45]\d\d)\s+(?:([45]\.\d{1,3}\.\d{1,3})\s+)?(.*)", re.DOTALL)
What = Callable[["Evaluation"], "tuple[str, str, str] | None"]


def parse_filter(text: str) -> tuple[frozenset[int], ...]:
    """`127.0.0.[2..4;9]` as four sets of numbers. Raises ValueError."""
    parts: list[frozenset[int]] = []
    at = 0
    for index in range(4):
        match = _PART.match(text, at)
        if match is None:
            raise ValueError(text)
        numbers: set[int] = set()
        for item in (match.group(1) or match.group(2) or "").split(";"):
            low, _, high = item.strip().partition("..")
            numbers.update(range(int(low), int(high or low) + 1))
        if not numbers or min(numbers) < 0 or max(numbers) > 255:
            raise ValueError(text)
        parts.append(frozenset(numbers))
        at = match.end()
        if index < 3:
            if text[at : at + 1] != ".":
                raise ValueError(text)
            at += 1
    if at != len(text):
        raise ValueError(text)
    return tuple(parts)


class DnsList:
    """`prepared` of all of them: the list's domain, its filter, and how a refusal reads."""

    __slots__ = ("_wanted", "code", "destinations", "domain", "key", "maps", "safe", "template")

    def __init__(self, compiler: Compiler, argument: str, origin: Origin | None) -> None:
        """Raises ConfigError for a bad filter."""
        self.key = argument
        domain, equals, wanted = argument.partition("=")
        self.domain = domain.rstrip(".")
        self._wanted: tuple[frozenset[int], ...] | None = None
        if equals:
            try:
                self._wanted = parse_filter(wanted)
            except ValueError:
                raise ConfigError(f'"{wanted}" is no reply filter', origin, "write as 127.0.0.[2..11]") from None
        settings = compiler.settings
        self.code = reply_code(compiler, "maps_rbl_reject_code")
        self.template = settings.raw("default_rbl_reply") or ""
        self.safe = allowed(settings)
        self.destinations = Destinations(compiler, "", None)
        self.maps = Maps(
            compiler.services.tables.open(name, settings.origin("rbl_reply_maps"))
            for name in settings.items("rbl_reply_maps")
        )

    def listed(self, addresses: tuple[str, ...]) -> str:
        """The first address that the filter wants; empty for none."""
        for address in addresses:
            octets = address.split(".")
            if self._wanted is None or (
                len(octets) == 4 and all(int(o) in w for o, w in zip(octets, self._wanted, strict=True))
            ):
                return address
        return ""


def reversed_address(address: str) -> str:
    """Octets (or nibbles) in reverse order, as DNS lists want them; empty for no address."""
    try:
        pointer = ipaddress.ip_address(address.partition("%")[0]).reverse_pointer
    except ValueError:
        return ""
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def _address(run: Evaluation) -> tuple[str, str, str] | None:
    address = run.facts.client.address
    return reversed_address(address), address, Resource.CLIENT.value


def _client(run: Evaluation) -> tuple[str, str, str] | None:
    name = run.facts.client.name
    return None if name == "unknown" else (name, name, Resource.CLIENT.value)


def _reverse(run: Evaluation) -> tuple[str, str, str] | None:
    name = run.facts.client.reverse_name
    return None if name == "unknown" else (name, name, "Unverified Client host")


def _helo(run: Evaluation) -> tuple[str, str, str] | None:
    helo = run.facts.helo
    return None if helo is None or helo.startswith("[") else (helo, helo, Resource.HELO.value)


def _of(address: str | None, resource: Resource) -> tuple[str, str, str] | None:
    domain = (address or "").rpartition("@")[2]
    return None if not address or "@" not in address or domain.startswith("[") else (domain, address, resource.value)


def _sender(run: Evaluation) -> tuple[str, str, str] | None:
    return _of(run.facts.sender, Resource.SENDER)


def _recipient(run: Evaluation) -> tuple[str, str, str] | None:
    return _of(run.facts.recipient, Resource.RECIPIENT)


WHAT: dict[str, What] = {
    "address": _address,
    "client": _client,
    "reverse_client": _reverse,
    "helo": _helo,
    "sender": _sender,
    "recipient": _recipient,
}


async def _ask(run: Evaluation, dnslist: DnsList, key: str) -> tuple[str, str] | DnsTempFail | None:
    """(address, query) when listed."""
    query = f"{run.services.resolver.a_label(without_dot(key))}.{dnslist.domain}"
    answer = await run.services.resolver.lookup(query, "A")
    if isinstance(answer, DnsTempFail):
        run.note(query, answer.why)
        return answer
    found = dnslist.listed(answer.values) if isinstance(answer, Records) else ""
    shown = " ".join(answer.values) if isinstance(answer, Records) else "not listed"
    run.note(query, shown if found or not isinstance(answer, Records) else f"{shown}, not wanted by the filter")
    return (found, query) if found else None


def reject_listed(what: str) -> Function:
    """reject_rbl_client (what="address") and the reject_rhsbl_* family."""
    take = WHAT[what]

    async def check(run: Evaluation, rule: Rule) -> Answer:
        taken = take(run)
        if taken is None or not taken[0]:
            return None
        dnslist: DnsList = rule.prepared
        found = await _ask(run, dnslist, taken[0])
        if found is None or isinstance(found, DnsTempFail):
            return None
        texts = await run.services.resolver.lookup(found[1], "TXT")
        reason = texts.values[0] if isinstance(texts, Records) else ""
        return await _refusal(run, dnslist, taken[1], taken[2], found[0], reason)

    return check


async def _refusal(run: Evaluation, dnslist: DnsList, what: str, resource: str, code: str, reason: str) -> Answer:
    template = dnslist.template
    if dnslist.maps:
        answer = await dnslist.maps.lookup(dnslist.key)
        if isinstance(answer, TempFail):
            return lookup_failed(what, answer.why)
        if isinstance(answer, Found):
            template = answer.value
    values = session_values(run.facts) | {
        "rbl_code": str(dnslist.code),
        "rbl_domain": dnslist.domain,
        "rbl_what": what,
        "rbl_class": resource,
        "rbl_reason": printable(reason),
        "rbl_txt": printable(reason),
        "rbl_address": code,
    }
    try:
        text = fill(template, values, dnslist.safe)
    except ConfigError:
        text = ""
    coded = _CODED.match(text)
    if coded is None:
        log.warning('the reply for the list %s begins with no 4xx or 5xx: "%s"', dnslist.domain, text or template)
        return Refusal(450, "4.7.1", "Service unavailable")
    return Refusal(int(coded.group(1)), coded.group(2) or "5.7.1", coded.group(3))


def printable(text: str) -> str:
    """A list's TXT record, fit for a reply line."""
    return "".join(char if char.isprintable() else "?" for char in text)[:400]


def permit_listed(what: str) -> Function:
    """permit_dnswl_client (what="address") and permit_rhswl_client. It never opens a relay: a recipient that is
    not ours is not permitted by it."""
    take = WHAT[what]

    async def check(run: Evaluation, rule: Rule) -> Answer:
        taken = take(run)
        if taken is None or not taken[0]:
            return None
        dnslist: DnsList = rule.prepared
        recipient = run.facts.recipient
        if recipient is not None:
            ours = await authorised(run, recipient, dnslist.destinations)
            if isinstance(ours, Deferred):
                return lookup_failed(recipient, ours.why)
            if ours is None:
                run.note(f"class of {recipient}", "not ours: a permit list does not count")
                return None
        found = await _ask(run, dnslist, taken[0])
        if isinstance(found, DnsTempFail):
            text = run.rejected(taken[1], taken[2], "Service unavailable")
            return DeferIfReject(Refusal(450, "4.7.1", text))
        return None if found is None else PERMIT

    return check
