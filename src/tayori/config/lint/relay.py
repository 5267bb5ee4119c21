"""The open-relay proof: can a stranger without a login send to a foreign domain, by any path of the rules?

The lists are walked for an unknown client outside mynetworks, without login or certificate, whose recipient is
in a domain that is not ours. All lists are asked in turn (SMTPD_ACCESS_README): mail passes only when no list
stops it. A list stops at its first certain refusal; a permit before that ends the list without one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tayori.config.lint import reach, strangers
from tayori.config.lint.access import DEPTH, OPEN, STOPS, everybody, example, permits, whole
from tayori.config.lint.finding import Finding, Message, Phrase
from tayori.config.lint.rules import Rule, classes, is_access_table, rules
from tayori.config.lint.source import Source, meant_items, place
from tayori.config.lint.vocabulary import close_to, split_table
from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings, split_items

NO_SAFE = Message(
    "error",
    "no-relay-restriction",
    "no rule keeps strangers from sending to other domains{where}",
    "smtpd_relay_restrictions and smtpd_recipient_restrictions hold none of reject_unauth_destination, "
    "defer_unauth_destination, reject, defer, defer_if_permit. Postfix then stops with a fatal error and takes no "
    "mail at all; so does tayori.{hint}",
    "Write: smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
)
MAYBE = Message(
    "warning",
    "relay-depends-on-table",
    '"{rule}" may let strangers send to other domains{where}',
    "It stands before the rule that refuses them. {detail} then permits mail to anywhere, and {forged}.",
    "Move it behind reject_unauth_destination{instead}.",
)
HUGE = Message(
    "warning",
    "huge-mynetworks",
    '"{network}" in mynetworks trusts {count} addresses of the open Internet',
    "Every machine there may send mail to anywhere through this server, without a login.",
    "Name only networks of your own.",
)
WORKING = STOPS | {"check_relay_domains"}
FORGEABLE = {
    "check_reverse_client_hostname_access": Phrase("anybody can give his own address any name"),
    "check_sender_access": Phrase("anybody can write any sender address"),
    "check_helo_access": Phrase("anybody can say any name in HELO"),
    "check_recipient_access": Phrase("strangers may use it too"),
}
TABLES = frozenset((*FORGEABLE, "check_client_access"))
READ = frozenset(("hash", "btree", "lmdb", "dbm", "cdb", "texthash", "regexp", "pcre", "cidr", "inline"))
ASKS = ("smtpd_tls_ask_ccert", "smtpd_tls_req_ccert")
SYSTEM_CA = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/ssl/ca-bundle", "/etc/ssl/cert.pem")
EARLY = frozenset(("smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions"))
TRUST = {
    "check_policy_service": (
        Phrase("Its answer OK"),
        Phrase("what it answers is decided elsewhere, which cannot be checked here"),
    ),
    "permit_tls_all_clientcerts": (
        Phrase("A client certificate from any authority that the system trusts"),
        Phrase("anybody can get one of those"),
    ),
    "permit_mx_backup": (
        Phrase("A domain whose MX records name this server (and anybody can write such records)"),
        Phrase("permit_mx_backup_networks sets no limit"),
    ),
}
LISTS = (
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
)


@dataclass(slots=True)
class Walk:
    """What one list does to the stranger: stopped, or let through by `permit`, after `maybe` permits."""

    stopped: bool = False
    permit: Rule | None = None
    maybe: list[Rule] = field(default_factory=list)


def walk(source: Source, settings: Settings, name: str, depth: int = 0) -> Walk:
    """Follow one list. Raises ConfigError."""
    result = Walk()
    own = classes(settings)
    blind = depth == 0 and skipped(settings, name)
    early = name in EARLY and not settings.flag("smtpd_delay_reject")
    for rule in rules(settings, name, source.main):
        if rule.warn_only and rule.word != "permit":
            continue
        if blind or (early and rule.word.endswith("_unauth_destination")):
            continue
        if rule.word in STOPS or rule.word == "check_relay_domains":
            result.stopped = True
            return result
        if opens(source, settings, rule):
            result.permit = rule
            return result
        if rule.word in own and depth < DEPTH:
            inner = walk(source, settings, rule.word, depth + 1)
            result.maybe += inner.maybe
            if inner.stopped or inner.permit:
                result.stopped, result.permit = inner.stopped, inner.permit
                return result
        elif may_permit(source, settings, rule):
            result.maybe.append(rule)
    return result


def skipped(settings: Settings, name: str) -> bool:
    """Whether a client can go round a list: that of HELO is asked only about a HELO that was said."""
    return name == "smtpd_helo_restrictions" and not settings.flag("smtpd_helo_required")


def opens(source: Source, settings: Settings, rule: Rule) -> bool:
    """Whether this rule certainly permits the stranger."""
    if rule.word == "permit":
        return True
    if rule.word == "permit_mynetworks":
        return any(everybody(item) for item in trusting(source, settings))
    table = rule.argument if rule.word.startswith("check_") else rule.word
    kind, name = split_table(table)
    if rule.word not in TABLES and not is_access_table(rule.word):
        return False
    if kind == "static":
        return permits(settings, name.strip("{}").split())
    if kind in ("randmap", "pipemap"):
        return answers_all(settings, kind, name)
    return any(permits(settings, entry.action.split()) for entry in reach.wide(source, rule.word, table))


def answers_all(settings: Settings, kind: str, name: str) -> bool:
    """randmap: one of its words is a permit. pipemap: static tables alone, the last of which permits."""
    inner = [item.strip() for item in split_items(name.removeprefix("{").removesuffix("}"))]
    if kind == "randmap":
        return any(permits(settings, item.split()) for item in inner)
    tables = [split_table(item) for item in inner]
    return bool(tables) and all(t == "static" for t, _ in tables) and permits(settings, tables[-1][1].split())


def system_authorities(settings: Settings) -> bool:
    """Whether client certificates are held against the authorities that the whole world buys from."""
    named = (settings.text("smtpd_tls_CAfile"), settings.text("smtpd_tls_CApath").rstrip("/"))
    return settings.flag("tls_append_default_CA") or any(name.startswith(SYSTEM_CA) for name in named)


def lets_in(settings: Settings, rule: Rule, entry: reach.Entry) -> bool:
    """Whether an entry may let a stranger in. A client listed by its address or name is one that the author knows."""
    if rule.word == "check_recipient_access" and ours(settings, entry.key):
        return False
    return (rule.word in FORGEABLE or is_access_table(rule.word)) and permits(settings, entry.action.split())


def ours(settings: Settings, key: str) -> bool:
    """Whether a recipient is in a domain that is named as ours: its mail passes reject_unauth_destination too."""
    domain = key.rpartition("@")[2]
    return bool(domain) and any(
        domain == item.lower()
        for name in ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")
        for item in meant_items(settings, name)
    )


def may_permit(source: Source, settings: Settings, rule: Rule) -> bool:
    """Whether a table or list of others could permit the stranger; small text tables are read."""
    if rule.word == "check_policy_service":
        return True
    if rule.word == "permit_mx_backup":
        return not settings.items("permit_mx_backup_networks")
    if rule.word == "permit_tls_all_clientcerts":
        return any(settings.flag(name) for name in ASKS) and system_authorities(settings)
    bare = is_access_table(rule.word)
    if not bare and rule.word not in TABLES:
        return False
    kind, name = split_table(rule.word if bare else rule.argument)
    if kind in ("static", "fail"):
        return False
    if kind in READ or name.startswith("{"):
        return any(lets_in(settings, rule, entry) for entry in reach.entries(source, f"{kind}:{name}"))
    return rule.word in FORGEABLE


def trusted(settings: Settings) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks of mynetworks that are written as such; a ! entry takes nothing away here."""
    for item in meant_items(settings, "mynetworks"):
        try:
            yield ipaddress.ip_network(item.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            continue  # a table, a file, or a mistake that has its own finding


def trusting(source: Source, settings: Settings) -> Iterator[str]:
    """The entries of mynetworks, with those of its files and cidr tables."""
    for item in meant_items(settings, "mynetworks"):
        kind = split_table(item)[0]
        if item.startswith("/"):
            yield from (word for line in reach.logical(source.table_text(item)) for word in line.split())
        elif kind == "cidr":
            yield from (entry.key for entry in reach.entries(source, item))
        else:
            yield item


def named(service: Service) -> str:
    """` (service submission, master.cf:12)` where a service has settings of its own."""
    return Phrase(" (service {name}, {place})", name=service.name, place=service.origin) if service.overrides else ""


def service_findings(source: Source, settings: Settings, service: Service) -> Iterator[Finding]:
    """The proof for one listener. Raises ConfigError when a list cannot be read."""
    where = named(service)
    safe = [
        name
        for name in ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
        if any(word in WORKING for word in every_word(settings, name))
    ]
    if not safe:
        yield no_safe(source, settings, where)
        return
    walks = {name: walk(source, settings, name) for name in LISTS}
    stopping = [result for result in walks.values() if result.stopped]
    if not stopping:
        session = witness(source, settings, walks, example(settings, service))
        yield replace(open_relay(source, settings, walks, where), session=session)
        return
    best = min(stopping, key=lambda result: len(result.maybe))
    for rule in best.maybe:
        trust = TRUST.get(rule.word) or (
            Phrase("An entry that answers OK") if rule.argument else Phrase("An entry there"),
            FORGEABLE.get(rule.word, Phrase("you do not decide who is in it")),
        )
        yield MAYBE.at(
            rule.origin,
            rule=f"{rule.word} {rule.argument}".strip(),
            where=where,
            instead="" if rule.word in TRUST else Phrase(", or let the table answer DUNNO instead of OK"),
            detail=trust[0],
            forged=trust[1],
        )


def every_word(settings: Settings, name: str, depth: int = 0) -> Iterator[str]:
    """All words of a list, classes opened."""
    own = classes(settings)
    for word in meant_items(settings, name):
        yield word.lower()
        if word in own and depth < DEPTH:
            yield from every_word(settings, word, depth + 1)


def no_safe(source: Source, settings: Settings, where: str) -> Finding:
    """The finding stands at the misspelt list when there is one, else at the list that lacks the rule."""
    for assignment in settings.assignments:
        if settings.row(assignment.name) is None:
            meant = close_to(assignment.name, ("smtpd_recipient_restrictions", "smtpd_relay_restrictions"), 0.84)
            if meant:
                line, misspelt = assignment.origin.line, assignment.name
                hint = Phrase(
                    ' The list in line {line} does not count: "{name}" is misspelt.', line=line, name=misspelt
                )
                return NO_SAFE.at(assignment.origin, where=where, hint=hint)
    origin = settings.origin("smtpd_relay_restrictions") or settings.origin("smtpd_recipient_restrictions")
    return NO_SAFE.at(origin or Origin(source.main), where=where, hint=level_hint(settings))


def level_hint(settings: Settings) -> str:
    """Why the list is empty when nobody set it."""
    if settings.is_set("smtpd_relay_restrictions"):
        return ""
    return Phrase(" Without compatibility_level (level 0) smtpd_relay_restrictions is empty by default.")


def witness(source: Source, settings: Settings, walks: dict[str, Walk], lines: tuple[str, ...]) -> tuple[str, ...]:
    """The session that goes through: he shows what the tables want to see, and says no HELO if that is asked."""
    silent = settings.is_set("smtpd_helo_restrictions") and skipped(settings, "smtpd_helo_restrictions")
    for rule in (result.permit for result in walks.values() if result.permit):
        asked = rule.word if rule.word.startswith("check_") else "check_client_access"
        for entry in reach.wide(source, rule.word, rule.argument or rule.word):
            if permits(settings, entry.action.split()):
                lines = reach.session(lines, asked, entry.shown)
                break
        silent = silent and rule.word != "check_helo_access"
    return lines[:2] + lines[4:] if silent else lines


def open_relay(source: Source, settings: Settings, walks: dict[str, Walk], where: str) -> Finding:
    """The finding names the rule that lets the stranger in."""
    permit = next((walks[name].permit for name in reversed(LISTS) if walks[name].permit), None)
    if permit is None:
        origin = settings.origin("smtpd_relay_restrictions") or settings.origin("smtpd_recipient_restrictions")
        return OPEN.at(origin or Origin(source.main), where=where, why=Phrase("no rule stops a stranger."), extra="")
    if permit.word == "permit_mynetworks":
        network = next(item for item in trusting(source, settings) if everybody(item))
        origin = place(settings, "mynetworks", network, source.main)
        why = Phrase("mynetworks holds {network}, so every client is trusted.", network=network)
        return OPEN.at(origin, where=where, why=why, extra=Phrase(", and take that network out of mynetworks"))
    rule = " ".join((permit.word, permit.argument)).strip()
    why = Phrase('"{rule}" permits everybody before any rule refuses strangers.', rule=rule)
    return OPEN.at(permit.origin, where=where, why=why, extra="")


def check(source: Source) -> Iterator[Finding]:
    """Every smtpd of master.cf; one that listens on loopback only is not reached by strangers."""
    seen: set[tuple[str, Origin]] = set()
    for service, settings in source.smtpd_views:
        if service.name.startswith(("127.", "[::1]", "localhost:", "::1")):
            continue
        try:
            found = list(service_findings(source, settings, service))
            found += strangers.findings(source, settings, service, named(service))
        except ConfigError:
            continue  # the value has its own finding
        for finding in found:
            if (finding.code, finding.origin) not in seen:
                seen.add((finding.code, finding.origin))
                yield finding
    yield from huge(source)


def huge(source: Source) -> Iterator[Finding]:
    """Large public networks in mynetworks."""
    if not source.settings.is_set("mynetworks"):
        return
    try:
        networks = [n for n in trusted(source.settings) if not n.is_private and not whole(n)]
    except ConfigError:
        return  # the value has its own finding
    for network in networks:
        if network.prefixlen < (16 if network.version == 4 else 32) and not network.is_loopback:
            origin = place(source.settings, "mynetworks", str(network.network_address), source.main)
            yield HUGE.at(origin, network=network, count=f"{network.num_addresses:,}")
