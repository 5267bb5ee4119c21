"""Log lines of decisions, in Postfix's words, so that existing log tools read them."""

from __future__ import annotations

from tayori.policy.facts import Facts
from tayori.policy.verdict import Action, Effect, Verdict
from tayori.protocol.address import quote

KINDS = {"REJECT_WARNING": "reject_warning", "WARN": "warn", "INFO": "info"}
NOTES = ("INFO", "WARN")


def _line(kind: str, text: str, facts: Facts, peer: str, stage: str) -> str:
    peer = peer or f"{facts.client.name}[{facts.client.address}]"
    parts = [f"{facts.queue_id or 'NOQUEUE'}: {kind}: {stage or facts.stage.value} from {peer}: {text};"]
    if facts.sender is not None:
        parts.append(f"from=<{quote(facts.sender)}>")
    if facts.recipient is not None:
        parts.append(f"to=<{quote(facts.recipient)}>")
    parts.append(f"proto={facts.protocol}")
    if facts.helo is not None:
        parts.append(f"helo=<{facts.helo}>")
    return " ".join(parts)


def log_line(verdict: Verdict, facts: Facts, peer: str = "", stage: str = "") -> str:
    """`NOQUEUE: reject: RCPT from host[addr]: 554 5.7.1 …; from=<…> to=<…> proto=ESMTP helo=<…>`; empty for a yes.
    `stage`: what the log calls it, where that is not protocol_state."""
    if verdict.reply is None or verdict.action in (Action.PERMIT, Action.DISCARD):
        return ""
    return _line("reject", verdict.log or str(verdict.reply), facts, peer, stage)


def effect_lines(verdict: Verdict, facts: Facts, peer: str = "", stage: str = "") -> list[str]:
    """The lines of what happened beside the verdict (warn_if_reject, HOLD, INFO …), in order."""
    return [
        effect_line(effect, facts, peer, stage) for effect in verdict.effects if effect.log or effect.kind in NOTES
    ]


def effect_line(effect: Effect, facts: Facts, peer: str = "", stage: str = "") -> str:
    """One such line: `NOQUEUE: hold: RCPT from …`."""
    return _line(KINDS.get(effect.kind, effect.kind.lower()), effect.log, facts, peer, stage)


def refusal_line(facts: Facts, text: str, peer: str = "", stage: str = "") -> str:
    """`ID: reject: END-OF-MESSAGE from …: TEXT; from=<…> …`, of what no restriction refused."""
    return _line("reject", text, facts, peer, stage)
