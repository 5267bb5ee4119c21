"""check_{client,helo,sender,recipient,etrn,reverse_client_hostname,sasl,ccert}_access: access(5) tables.

The order of keys is access(5)'s. Mail addresses: user+ext@domain, user@domain, domain and its parents, user+ext@,
user@. Hosts: the name and its parents, then the address and its networks, octet by octet. Parents are looked up
as `.domain`, or plainly when parent_domain_matches_subdomains names smtpd_access_maps. Tables of patterns are asked
for whole keys only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import split_items
from tayori.policy.actions import Actions, Subject
from tayori.policy.answers import Answer, Permit, Refusal, lookup_failed, misconfigured
from tayori.policy.networks import client_name
from tayori.policy.rule import Resource, Rule
from tayori.protocol.address import split_extension
from tayori.rewrite.results import Deferred
from tayori.rewrite.routes import Routes
from tayori.tables.matchlist import parents_match
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import partial_keys

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation
    from tayori.tables.outcome import Table

Keys = Iterator[tuple[str, bool]]
REVERSE = "Unverified Client host"
CCERT = "Client certificate"
SASL = "SASL login name"


class Access:
    """`prepared` of every check_*_access: the table, and how keys are made."""

    __slots__ = ("actions", "delimiters", "null_key", "parents", "partial", "routes", "table")

    def __init__(self, compiler: Compiler, argument: str, origin: Origin | None) -> None:
        """Raises ConfigError for a table that cannot be used."""
        if argument.startswith("{"):
            argument = split_items(argument[1:-1])[0]
        if ":" not in argument:
            raise ConfigError(f'"{argument}" is not type:name', origin, f"write for example hash:{argument}")
        settings = compiler.settings
        self.table: Table = compiler.services.tables.open(argument, origin)
        self.partial = partial_keys(self.table)
        self.actions = Actions(compiler)
        self.parents = parents_match(settings, "smtpd_access_maps")
        self.routes = Routes(settings, compiler.services.classes)
        self.delimiters = settings.text("recipient_delimiter")
        self.null_key = settings.text("smtpd_null_access_lookup_key")

    async def find(self, run: Evaluation, rule: Rule, keys: Keys, about: Subject) -> Answer:
        """Try keys in order; the first that the table has decides. A key is (text, is it a part)."""
        found, answer = await self.first(run, rule, keys, about)
        del found
        return answer

    async def first(self, run: Evaluation, rule: Rule, keys: Keys, about: Subject) -> tuple[bool, Answer]:
        """The same, and whether any key was found at all (DUNNO counts as found)."""
        for key, part in keys:
            if (part and not self.partial) or not key:
                continue
            answer = await self.table.lookup(key)
            if isinstance(answer, Found):
                place = f" at {answer.origin}" if answer.origin else ""
                run.note(f"{key} in {self.table.name}", answer.value + place)
                return True, await self.actions.apply(run, rule, answer.value, about, answer.origin or rule.origin)
            if isinstance(answer, TempFail):
                run.note(f"{key} in {self.table.name}", answer.why)
                text = f"<{about.name}>: {about.resource} rejected: Server configuration error"
                return True, Refusal(451, "4.3.5", text)
        return False, None

    def domain(self, name: str) -> Keys:
        """A name and its parents."""
        yield name, False
        at = name.find(".", 1 if name.startswith(".") else 0)
        while 0 <= at < len(name) - 1:
            yield name[at + 1 :] if self.parents else name[at:], True
            at = name.find(".", at + 1)

    def address(self, address: str) -> Keys:
        """An IP address and its networks."""
        yield address, False
        dot = ":" if ":" in address else "."
        at = address.rfind(dot)
        while at > 0:
            address = address[:at].rstrip(":") if dot == ":" else address[:at]
            yield address, True
            at = address.rfind(dot)

    def host(self, name: str, address: str) -> Keys:
        """A client: by name, then by address."""
        yield from self.domain(name.lower())
        yield from self.address(address)

    async def mail(self, run: Evaluation, rule: Rule, address: str, resource: Resource) -> Answer:
        """Ask for a mail address: where its route ends; OK for one that may be routed on says nothing."""
        about = Subject(address, resource.value)
        if not address:
            return await self.find(run, rule, self.addressed(address), about)
        followed = await self.routes.follow(address)
        if isinstance(followed, Deferred):
            return lookup_failed(address, followed.why)
        answer = await self.find(run, rule, self.addressed(followed.address), about)
        if followed.suspicious and isinstance(answer, Permit):
            run.note(address, "OK means nothing for an address with a route in it (allow_untrusted_routing)")
            return None
        return answer

    def addressed(self, address: str) -> Keys:
        """The keys of a mail address in standard form."""
        if not address:
            yield self.null_key, False
            return
        local, _, domain = address.lower().rpartition("@")
        if not domain:
            return
        base = split_extension(local, self.delimiters)[0] if self.delimiters else local
        locals_ = (local, base) if base != local else (local,)
        for index, each in enumerate(locals_):
            yield f"{each}@{domain}", index > 0
        for key, _ in self.domain(domain):
            yield key, True
        for each in locals_:
            yield f"{each}@", True


def no_permit(run: Evaluation, answer: Answer, what: str) -> Answer:
    """Where OK would let a stranger choose his own permission: a mistake of the table (postconf(5))."""
    if isinstance(answer, Permit):
        run.note(what, "OK is not allowed here: use DUNNO to make an exception")
        return misconfigured()
    return answer


async def check_client_access(run: Evaluation, rule: Rule) -> Answer:
    """By the client's name and address."""
    access: Access = rule.prepared
    client = run.facts.client
    about = Subject(client_name(run), Resource.CLIENT.value)
    return await access.find(run, rule, access.host(client.name, client.address), about)


async def check_reverse_client_hostname_access(run: Evaluation, rule: Rule) -> Answer:
    """By the name that the client's address claims, unverified: it may refuse, never permit."""
    access: Access = rule.prepared
    client = run.facts.client
    about = Subject(client.reverse_name, REVERSE)
    answer = await access.find(run, rule, access.host(client.reverse_name, client.address), about)
    return no_permit(run, answer, client.reverse_name)


async def check_helo_access(run: Evaluation, rule: Rule) -> Answer:
    """By the HELO name and its parent domains."""
    helo = run.facts.helo
    if helo is None:
        return None
    access: Access = rule.prepared
    return await access.find(run, rule, access.domain(helo), Subject(helo, Resource.HELO.value))


async def check_sender_access(run: Evaluation, rule: Rule) -> Answer:
    """By the sender; `<>` is looked up as smtpd_null_access_lookup_key."""
    sender = run.facts.sender
    if sender is None:
        return None
    access: Access = rule.prepared
    return await access.mail(run, rule, sender, Resource.SENDER)


async def check_recipient_access(run: Evaluation, rule: Rule) -> Answer:
    """By the recipient."""
    recipient = run.facts.recipient
    if recipient is None:
        return None
    access: Access = rule.prepared
    return await access.mail(run, rule, recipient, Resource.RECIPIENT)


async def check_etrn_access(run: Evaluation, rule: Rule) -> Answer:
    """By the domain that ETRN names."""
    domain = run.facts.etrn
    if domain is None:
        return None
    access: Access = rule.prepared
    return await access.find(run, rule, access.domain(domain.lower()), Subject(domain, Resource.ETRN.value))


async def check_sasl_access(run: Evaluation, rule: Rule) -> Answer:
    """By the login name, whole."""
    login = run.facts.login
    if login is None:
        return None
    access: Access = rule.prepared
    keys = iter(((login.username, False),))
    return await access.find(run, rule, keys, Subject(login.username, SASL))


SEARCH = {
    "cert_fingerprint": "cert_fingerprint",
    "pubkey_fingerprint": "pubkey_fingerprint",
    "cert_issuer_cn": "issuer_cn",
    "cert_subject_cn": "subject_cn",
}


class CertificateAccess(Access):
    """check_ccert_access `type:table` or `{ type:table, { search_order = … } }`."""

    __slots__ = ("order",)

    def __init__(self, compiler: Compiler, argument: str, origin: Origin | None) -> None:
        super().__init__(compiler, argument, origin)
        self.order: tuple[str, ...] = ("cert_fingerprint", "pubkey_fingerprint")
        if not argument.startswith("{"):
            return
        for item in split_items(argument[1:-1])[1:]:
            name, _, value = item.strip("{} ").partition("=")
            wanted = split_items(value)
            if name.strip() != "search_order" or not wanted or not set(wanted) <= set(SEARCH):
                raise ConfigError(f'check_ccert_access: "{item}"', origin, f"search_order takes {', '.join(SEARCH)}")
            self.order = wanted


async def check_ccert_access(run: Evaluation, rule: Rule) -> Answer:
    """By the fingerprint of the client's certificate or of its key."""
    tls = run.facts.tls
    if tls is None or not tls.cert_fingerprint:
        return None
    access: CertificateAccess = rule.prepared
    keys = iter([(getattr(tls, SEARCH[name]), False) for name in access.order])
    return await access.find(run, rule, keys, Subject(client_name(run), CCERT))
