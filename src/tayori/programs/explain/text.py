"""An Explanation as text that a person likes to read: one paragraph for each step of the mail's way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tayori.programs.explain.forms import forms
from tayori.programs.explain.notes import note
from tayori.programs.explain.values import Content, Destination, Explanation, Judged, Lookup, Remedy, Route
from tayori.programs.history.record import Asked, Decision
from tayori.programs.language import ENGLISH, N_, Language

WIDTH = 100
MARKS = {"permit": "+", "reject": "x", "defer": "x", "warn": "!", "defer_if_permit": "~", "defer_if_reject": "~"}
ANSWERS = {
    "permit": N_("lets it pass"),
    "reject": N_("refuses"),
    "defer": N_("refuses for now"),
    "discard": N_("takes it and throws it away"),
    "disconnect": N_("ends the session"),
    "warn": N_("would refuse (warn_if_reject)"),
    "defer_if_permit": N_("defers if nothing else refuses"),
    "defer_if_reject": N_("turns a later refusal into try later"),
    "dunno": N_("says nothing"),
}
KINDS = {
    "local": N_("local (mydestination)"),
    "virtual alias": N_("virtual alias domain"),
    "virtual mailbox": N_("virtual mailbox domain"),
    "relay": N_("relay domain"),
    "default": N_("somebody else's domain"),
}
TARGETS = {
    "delivered": N_("{address} is delivered to {where}"),
    "read": N_("{where} says where mail for {address} goes"),
    "discarded": N_("{address} is the sender of this server's own reports: what comes for it is thrown away"),
    "forwarded": N_("a copy goes on to {address}"),
    "deferred": N_("{address} would wait in the queue: {where}"),
    "bounced": N_("{address} would be returned to the sender: {where}"),
}
SENT_BY = N_("with the sender <{sender}>")
OWNER = N_("written with the rights of {owner}")
RUN_AS = N_("run with the rights of {owner}")
READ_AS = N_("read with the rights of {owner}")
FOUND = {
    "mx": N_("{destination}: by its MX records"),
    "no mx": N_("{destination}: it has no MX record, so its own address counts"),
    "address": N_("{destination}: by its address, MX records do not count"),
    "literal": N_("{destination}: the address itself"),
    "socket": N_("{destination}: a socket of this machine"),
}
WAITS = N_("mail would wait in the queue: {why}")
RETURNS = N_("mail would be returned to the sender: {why}")


def lines(found: Explanation, say: Language) -> Iterator[str]:
    """The whole text."""
    question = found.question
    yield say("From <{sender}> to {recipients}", sender=question.sender,
              recipients=", ".join(f"<{one}>" for one in question.recipients))  # fmt: skip
    yield say("Client {name}[{address}], HELO {helo}, service {service}{place}", name=found.client_name,
              address=question.client, helo=question.helo, service=found.service,
              place=f" ({found.place})" if found.place else "")  # fmt: skip
    known = [say("logged in as {login}", login=found.login)] if found.login else []
    known += [say("with TLS")] if question.tls else []
    if known:
        yield ", ".join(known)
    yield from forms((question.sender, *question.recipients, *(route.address for route in found.routes)), say)
    for remark in found.notes:
        yield from _wrapped(remark, "! ")
    for judged in found.judged:
        yield ""
        yield from _judged(judged, say)
    said = {judged.decision.reply for judged in found.judged}
    for line in found.session:
        reply = line.reply.replace("\n", " ")
        if line.reply[:1] in "45" and line.command and reply not in said and line.reply:
            yield ""
            yield f"{line.command} → {reply}"
    if found.accepted:
        yield ""
        yield from _rewriting(found, say)
        for route in found.routes:
            yield ""
            yield from _route(route, say)
    if found.content is not None:
        yield ""
        yield from _content(found.content, say)
    yield ""
    yield say("Accepted.") if found.accepted else say("Not accepted.")


def _judged(judged: Judged, say: Language) -> Iterator[str]:
    decision = judged.decision
    yield f"{stage(decision)} → {decision.reply or say('accepted')}"
    parameter = ""
    for one in judged.asked:
        if one.parameter != parameter:
            parameter = one.parameter
            yield f"  {parameter}"
        yield asked(one, say)
    if not judged.asked and decision.good:
        yield "  " + say("no restriction is asked here")
    for lookup in judged.lookups:
        yield f"    {shown(lookup, say)}"
    for effect in judged.effects:
        yield f"    {say('noted in the log')}: {effect}"
    if decision.by is not None:
        yield "  " + decided(decision, say)
    elif judged.asked:
        yield "  " + say("No rule refused: the lists ended without an objection.")
    yield from why(judged.causes, judged.remedies, say)


def stage(decision: Decision) -> str:
    """`RCPT TO <x@example.com>`."""
    about = decision.about
    if decision.stage == "RCPT":
        return f"RCPT TO <{about}>"
    if decision.stage == "MAIL":
        return f"MAIL FROM <{about}>"
    return f"{decision.stage} {about}".strip()


def asked(one: Asked, say: Language) -> str:
    """One restriction with its answer, where it stands and what it looked up."""
    rule = f"{one.restriction} {one.argument}".strip()
    place = one.place or say("by default")
    looked = f" ({note(one.looked_up, say)}: {note(one.found, say)})" if one.looked_up else ""
    return f"    {MARKS.get(one.answer, '·')} {rule}: {say(ANSWERS.get(one.answer, one.answer))}{looked}  [{place}]"


def decided(decision: Decision, say: Language) -> str:
    """Which rule and line decided."""
    by = decision.by
    assert by is not None
    rule = f"{by.restriction} {by.argument}".strip()
    if rule == by.parameter:
        return say("Decided by {rule}, {place}", rule=rule, place=by.place or say("by default"))
    return say("Decided by {rule} in {parameter}, {place}", rule=rule, parameter=by.parameter,
               place=by.place or say("by default"))  # fmt: skip


def why(causes: Iterable[str], remedies: Iterable[Remedy], say: Language) -> Iterator[str]:
    """The causes, and what would change it."""
    causes, remedies = tuple(causes), tuple(remedies)
    if causes:
        yield "  " + say("Why:")
        for cause in causes:
            yield from _wrapped(cause, "    - ")
    if remedies:
        yield "  " + say("What would change it:")
        for remedy in remedies:
            yield from _wrapped(remedy.text + (f"  [{remedy.place}]" if remedy.place else ""), "    - ")


def shown(lookup: Lookup, say: Language) -> str:
    """One look-up."""
    name = lookup.parameter or lookup.table
    table = f" ({lookup.table})" if lookup.parameter else ""
    place = f"  [{lookup.place}]" if lookup.place else ""
    if lookup.failed:
        return say("{name}{table}: {key} could not be looked up: {value}", name=name, table=table, key=lookup.key,
                   value=say.told(lookup.value))  # fmt: skip
    return f"{name}{table}: {lookup.key} → {lookup.value}{place}"


def _rewriting(found: Explanation, say: Language) -> Iterator[str]:
    yield say("Rewriting")
    if found.sender != found.question.sender:
        yield "  " + say("sender <{old}> becomes <{new}>", old=found.question.sender, new=found.sender)
    for route in found.routes:
        if route.original != route.address:
            yield "  " + say("recipient <{old}> becomes <{new}>", old=route.original, new=route.address)
    for lookup in found.rewriting:
        yield f"    {shown(lookup, say)}"
    if not found.rewriting and all(route.original == route.address for route in found.routes):
        yield "  " + say("no address changes")


def _route(route: Route, say: Language) -> Iterator[str]:
    if route.trouble:
        yield say("<{address}> cannot be resolved now: {why}", address=route.address, why=say.told(route.trouble))
        return
    yield say("Delivery to <{address}>", address=route.address)
    yield "  " + say("class: {kind}", kind=say(KINDS.get(route.kind, route.kind)))
    place = f"  [{route.place}]" if route.place else ""
    hop = "" if route.program in ("error", "retry", "discard") else route.nexthop
    yield "  " + say("transport: {transport}:{nexthop}, chosen by {reason}", transport=route.transport, nexthop=hop,
                     reason=route.reason) + place  # fmt: skip
    for lookup in route.lookups:
        yield f"    {shown(lookup, say)}"
    for destination in route.destinations:
        yield from _destination(destination, say)
    for target in route.targets:
        rights = READ_AS if target.status == "read" else RUN_AS if target.where.startswith("|") else OWNER
        more = [say(rights, owner=target.owner)] if target.owner else []
        more += [say(SENT_BY, sender=target.sender)] if target.sender is not None else []
        told = say(
            TARGETS[target.status],
            address=target.address,
            where=say.told(target.where) if target.status in ("deferred", "bounced") else target.where,
        )
        yield f"  {told}{f' ({more[0]})' if more else ''}"


def _destination(one: Destination, say: Language) -> Iterator[str]:
    if one.found:
        yield "  " + say(FOUND[one.found], destination=one.destination)
    for host in one.hosts:
        mx = "" if host.preference is None else f"{host.preference} "
        name = "" if host.name in (host.address, "") else f"{host.name} "
        where = f"[{host.address}]:{host.port}" if host.port else f"[{host.address}]"
        yield f"    {mx}{name}{where if host.address else say('(not tried)')}".rstrip()
        if host.trouble:
            yield f"      {say.told(host.trouble)}"
    if one.trouble:
        yield "    " + say(RETURNS if one.status == "bounced" else WAITS, why=say.told(one.trouble))


def _content(content: Content, say: Language) -> Iterator[str]:
    limit = say(", at most {limit}", limit=content.limit) if content.limit else ""
    yield say("Content: {size} bytes{limit}", size=content.size, limit=limit)
    for lookup in content.checks:
        yield f"  {shown(lookup, say)}"
    for change in content.changes:
        for mark, text in (("-", change.before), ("+", change.after)):
            if text:
                yield f"  {mark} " + text.replace("\n", "\n    ")
    if not content.changes and content.reply[:1] == "2":
        yield "  " + say("no header changes")
    if content.body_changed:
        yield "  " + say("the body changes")
    if content.hold:
        yield "  " + say("it would wait in the hold queue: {why}", why=content.hold)
    if content.discard:
        yield "  " + say("it would be taken and thrown away")
    if content.filter:
        yield "  " + say("it would go through the filter {name}", name=content.filter)
    if content.reply:
        yield "  " + say("end of the message → {reply}", reply=content.reply)


def shorten(text: str, directory: str) -> str:
    """Places inside the configuration folder without the folder: `main.cf:12`."""
    return re.sub(rf"{re.escape(directory.rstrip('/'))}/(?=[^\s/:]+:\d)", "", text)


def _wrapped(text: str, first: str) -> list[str]:
    return ENGLISH.wrap(text, WIDTH, first)
