"""Why a refusal came, in words, and what would change it: for `explain`, `trace` and `why` alike.

"Relay access denied" gets the most care, for it has five causes that look the same to a client: no login tried, a
login that failed, AUTH not offered, a login that the list asks for too late, and a domain not listed as ours.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from tayori.config.lint.finding import Phrase
from tayori.config.settings import Settings
from tayori.policy.answers import Permit
from tayori.policy.evaluate import Evaluation
from tayori.policy.facts import Facts
from tayori.policy.rule import Resource
from tayori.programs.daemons.compose import Built
from tayori.programs.explain import replies
from tayori.programs.explain.known import case
from tayori.programs.explain.notes import note
from tayori.programs.explain.values import Remedy
from tayori.programs.history.record import Decision, Failed
from tayori.programs.language import N_, Language

RELAY = frozenset(("reject_unauth_destination", "defer_unauth_destination"))

FOREIGN = N_("{domain} is not one of this server's own domains, so only known clients may send there.")
ROUTED = N_("The address {address} holds a route to another place, so it counts as foreign.")
LOGGED_IN = N_("The client was logged in as {login}, but no permit_sasl_authenticated stands before this rule.")
FAILED = N_("A login was tried and failed: {method} as {user}: {why}.")
NO_SASL = N_("The client did not log in: AUTH is not offered on port {port} (smtpd_sasl_auth_enable = no{place}).")
NEEDS_TLS = N_("The client did not log in: AUTH is offered only after STARTTLS{place}, and TLS was not used.")
EXEMPT = N_("The client did not log in: AUTH is hidden from it (smtpd_sasl_exceptions_networks{place}).")
NO_MECHANISM = N_("The client did not log in: no login mechanism can be offered now; tayori explain-login says why.")
NOT_TRIED = N_("The client did not try to log in, though AUTH was offered.")
NO_EHLO = N_("The client never said EHLO, so it was not told that it may log in.")
NOT_TRUSTED = N_("The client's address {client} is not in mynetworks.")

LOG_IN = N_("Log in: this port offers AUTH{tls}.")
AFTER_TLS = N_(" after STARTTLS")
LOG_IN_ELSEWHERE = N_("Log in on port {port}, where AUTH is offered{tls}.")
ENABLE = N_("Let people log in on this port: smtpd_sasl_auth_enable = yes.")
ADD_PERMIT = N_("Put permit_sasl_authenticated before {rule}.")
TRUST = N_("If {client} is a machine of yours: add it to mynetworks.")
OURS = N_("If {domain} is yours and has its mailboxes here: add it to mydestination (or virtual_mailbox_domains).")
RELAY_FOR = N_("If this server passes mail on for {domain}: add it to relay_domains.")
TOO_EARLY = N_("{rule} stands before {permit} ({place}), which would have let the client pass.")
MOVE = N_('Move "{rule}" before "{before}".')
MEND_LOGIN = N_("Find out why the login fails: tayori explain-login {user}")


@dataclass(frozen=True, slots=True)
class Situation:
    """What the client was and did. `offered`: the AUTH mechanisms it was told; None: it never asked."""

    client: str
    login: str = ""
    tls: bool = False
    offered: tuple[str, ...] | None = None
    failed: tuple[Failed, ...] = ()


async def reasons(
    refusal: Decision,
    facts: Facts | None,
    situation: Situation,
    built: Built,
    services: Sequence[Built],
    say: Language,
) -> tuple[tuple[str, ...], tuple[Remedy, ...]]:
    """The causes in words, the plainest first, and what would change it, the likeliest first.

    Both are empty where the reply says it all. With `facts` the rules behind the refusing one are asked too.
    """
    by = refusal.by
    if by is None or by.answer == "refused":
        return replies.told(refusal, built.settings, say)
    why: list[str] = []
    mends: list[Remedy] = []
    found = case(by.restriction, refusal.reply, by.found, by.looked_up)
    if by.restriction in RELAY:
        why += _relay_causes(refusal, situation, built, say)
        mends += _relay_remedies(refusal, situation, built, services, say)
    elif found:
        fields = _fields(refusal, situation, say)
        why.append(say(found.cause, **fields))
        mends += [
            Remedy(say(text, **fields), (_at(built.settings, name) or name) if name else by.place)
            for text, name in found.mends
        ]
    later = await _permit_behind(refusal, facts, built) if facts is not None else None
    if later is not None:
        why.append(say(TOO_EARLY, rule=by.restriction, permit=later[0], place=later[1] or by.parameter))
        mends.insert(0, Remedy(say(MOVE, rule=later[0], before=by.restriction), later[1]))
    return tuple(why), tuple(mends)


def _relay_causes(refusal: Decision, situation: Situation, built: Built, say: Language) -> list[str]:
    address = refusal.about
    local, _, domain = address.rpartition("@")
    out = [say(ROUTED, address=address) if not {"@", "%", "!"}.isdisjoint(local) else say(FOREIGN, domain=domain)]
    if _asked_before(refusal, "permit_mynetworks"):
        out.append(say(NOT_TRUSTED, client=situation.client))
    if situation.login:
        out.append(say(LOGGED_IN, login=situation.login))
    elif situation.failed:
        last = situation.failed[-1]
        out.append(say(FAILED, method=last.method, user=last.username or "?", why=say.told(last.why)))
    else:
        out.append(_no_login(situation, built, say))
    return out


def _no_login(situation: Situation, built: Built, say: Language) -> str:
    settings, options = built.settings, built.options
    if not options.sasl_enable:
        return say(NO_SASL, port=port_of(built), place=place(settings, "smtpd_sasl_auth_enable"))
    if situation.offered:
        return say(NOT_TRIED)
    if situation.offered is None and not situation.tls:
        return say(NO_EHLO)
    if options.tls_auth_only and not situation.tls:
        return say(NEEDS_TLS, place=place(settings, "smtpd_tls_auth_only"))
    if not situation.tls and built.authenticator is not None and built.authenticator.offered(True):
        return say(NEEDS_TLS, place=place(settings, "smtpd_sasl_security_options"))
    if settings.items("smtpd_sasl_exceptions_networks"):
        return say(EXEMPT, place=place(settings, "smtpd_sasl_exceptions_networks"))
    return say(NO_MECHANISM)


def _relay_remedies(
    refusal: Decision, situation: Situation, built: Built, services: Sequence[Built], say: Language
) -> list[Remedy]:
    settings = built.settings
    out: list[Remedy] = []
    rule = refusal.by.restriction if refusal.by else ""
    if situation.login or not _asked_before(refusal, "permit_sasl_authenticated"):
        out.append(Remedy(say(ADD_PERMIT, rule=rule), refusal.by.place if refusal.by else ""))
    if situation.failed and not situation.login:
        out.append(Remedy(say(MEND_LOGIN, user=situation.failed[-1].username or "USER")))
    elif not situation.login:
        out += _where_to_log_in(situation, built, services, say)
    if _asked_before(refusal, "permit_mynetworks"):
        out.append(Remedy(say(TRUST, client=situation.client), _at(settings, "mynetworks")))
    domain = refusal.about.rpartition("@")[2]
    out.append(Remedy(say(OURS, domain=domain), _at(settings, "mydestination")))
    out.append(Remedy(say(RELAY_FOR, domain=domain), _at(settings, "relay_domains")))
    return out


def _where_to_log_in(situation: Situation, built: Built, services: Sequence[Built], say: Language) -> list[Remedy]:
    if built.options.sasl_enable and built.authenticator is not None:
        tls = "" if situation.offered or situation.tls else Phrase(AFTER_TLS)
        return [Remedy(say(LOG_IN, tls=tls))]
    for other in services:
        if other.options.sasl_enable and other.authenticator is not None:
            wants = other.options.tls_auth_only and not other.options.tls_wrapper
            text = say(LOG_IN_ELSEWHERE, port=port_of(other), tls=Phrase(AFTER_TLS) if wants else "")
            return [Remedy(text, str(other.service.origin or ""))]
    return [Remedy(say(ENABLE), _at(built.settings, "smtpd_sasl_auth_enable"))]


async def _permit_behind(refusal: Decision, facts: Facts, built: Built) -> tuple[str, str] | None:
    """A permit of the same list that stands behind the refusing rule and would have let this client pass."""
    by = refusal.by
    assert by is not None
    for rules in built.policy.lists:
        if rules.parameter != by.parameter:
            continue
        behind = False
        for rule in rules.rules:
            if behind and rule.name.startswith("permit"):
                run = Evaluation(facts, built.policy.services, None)
                run.begin(Resource.RECIPIENT, refusal.about)
                if isinstance(await rule.function(run, rule), Permit):
                    return rule.name, str(rule.origin or "")
            same = (rule.name, rule.argument) == (by.restriction, by.argument)
            behind = behind or (same and str(rule.origin or "") == by.place)
    return None


def _asked_before(refusal: Decision, restriction: str) -> bool:
    return any(one.restriction == restriction for one in refusal.asked)


def _fields(refusal: Decision, situation: Situation, say: Language) -> dict[str, object]:
    by = refusal.by
    assert by is not None
    about = named(refusal.reply) or refusal.about
    return {
        "about": about,
        "domain": about.rpartition("@")[2],
        "login": situation.login,
        "client": situation.client,
        "argument": by.argument,
        "found": note(by.found or "-", say),
        "looked_up": note(by.looked_up or by.argument or refusal.about, say),
    }


def named(reply: str) -> str:
    """The address or name in `<…>:` that a reply begins with: with smtpd_delay_reject not what RCPT was about."""
    found = re.match(r"\d{3} (?:\d\.\d+\.\d+ )?<([^>]+)>: ", reply)
    return found.group(1) if found else ""


def place(settings: Settings, name: str) -> str:
    """`, main.cf:12` for the line that sets a parameter; "" for a default."""
    at = _at(settings, name)
    return f", {at}" if at else ""


def _at(settings: Settings, name: str) -> str:
    return str(settings.origin(name) or "")


def port_of(built: Built) -> int:
    """The port of a service's name in master.cf; 0 when it cannot be told."""
    text = built.service.name.rpartition(":")[2]
    try:
        return int(text) if text.isdigit() else socket.getservbyname(text, "tcp")
    except OSError:
        return 0
