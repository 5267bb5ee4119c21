"""check_{client,reverse_client_hostname,helo,sender,recipient}_{a,mx,ns}_access (postconf(5)): access(5) tables asked
for the hosts behind a name. OK is not allowed in them. A name that does not exist has no hosts: nothing applies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tayori.net.dns import DnsTempFail, NoSuchName, Records, Resolver
from tayori.policy.access import REVERSE, Access, no_permit
from tayori.policy.actions import Subject
from tayori.policy.answers import Answer
from tayori.policy.names import without_dot
from tayori.policy.networks import client_name
from tayori.policy.rule import Function, Resource, Rule
from tayori.protocol.address import literal_address

if TYPE_CHECKING:
    from tayori.policy.evaluate import Evaluation

MAX_HOSTS = 50
Source = Callable[["Evaluation"], "tuple[str, Subject] | None"]


def _client(run: Evaluation) -> tuple[str, Subject] | None:
    name = run.facts.client.name
    return None if name == "unknown" else (name, Subject(client_name(run), Resource.CLIENT.value))


def _reverse(run: Evaluation) -> tuple[str, Subject] | None:
    name = run.facts.client.reverse_name
    return None if name == "unknown" else (name, Subject(name, REVERSE))


def _helo(run: Evaluation) -> tuple[str, Subject] | None:
    helo = run.facts.helo
    return None if helo is None else (helo, Subject(helo, Resource.HELO.value))


def _of(address: str | None, resource: Resource) -> tuple[str, Subject] | None:
    if not address or "@" not in address:
        return None
    return address.rpartition("@")[2], Subject(address, resource.value)


def _sender(run: Evaluation) -> tuple[str, Subject] | None:
    return _of(run.facts.sender, Resource.SENDER)


def _recipient(run: Evaluation) -> tuple[str, Subject] | None:
    return _of(run.facts.recipient, Resource.RECIPIENT)


SOURCES: dict[str, Source] = {
    "client": _client,
    "reverse_client_hostname": _reverse,
    "helo": _helo,
    "sender": _sender,
    "recipient": _recipient,
}


async def servers(resolver: Resolver, domain: str, kind: str) -> tuple[str, ...] | DnsTempFail:
    """The names of the hosts: the name itself for A; MX hosts, or the name where it has none; for NS, the name
    servers of the domain or of its nearest parent that has some."""
    if kind == "A":
        return (domain,)
    while True:
        answer = await resolver.lookup(domain, kind)
        if isinstance(answer, Records):
            return tuple(value for value in answer.values if value)[:MAX_HOSTS]
        if isinstance(answer, DnsTempFail):
            return answer
        if kind == "MX":
            return () if isinstance(answer, NoSuchName) else (domain,)
        _, dot, parent = domain.partition(".")
        if not dot or "." not in parent:
            return ()
        domain = parent


def host_access(source: str, kind: str) -> Function:
    """The restriction function for one source of names and one kind of host."""
    take = SOURCES[source]

    async def check(run: Evaluation, rule: Rule) -> Answer:
        taken = take(run)
        if taken is None:
            return None
        name, about = taken
        access: Access = rule.prepared
        literal = literal_address(name)
        if literal is not None:
            if kind == "NS":
                return None
            return no_permit(run, await access.find(run, rule, access.address(literal), about), name)
        domain = run.services.resolver.a_label(without_dot(name))
        hosts = await servers(run.services.resolver, domain, kind)
        if isinstance(hosts, DnsTempFail):
            run.note(f"{kind} of {domain}", hosts.why)
            return None
        for host in hosts:
            if kind != "A":
                found, answer = await access.first(run, rule, access.domain(host.lower()), about)
                if answer is not None:
                    return no_permit(run, answer, host)
                if found:
                    continue
            addresses = await run.services.resolver.addresses(host)
            for address in addresses.values if isinstance(addresses, Records) else ():
                answer = await access.find(run, rule, access.address(address), about)
                if answer is not None:
                    return no_permit(run, answer, f"{host}[{address}]")
        return None

    return check
