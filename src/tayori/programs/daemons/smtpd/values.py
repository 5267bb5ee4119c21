"""Session state by owner: what the transaction knows, and what the log counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec


class EnvelopeRecipient(msgspec.Struct, frozen=True):
    """A recipient the policy let in. `notify` and `orcpt` come with DSN (RFC 3461)."""

    address: str
    notify: str = ""
    orcpt: str = ""


class Transaction(msgspec.Struct, frozen=True):
    """Between MAIL and the end of DATA; RSET drops it whole. `size` as the client said it, in bytes."""

    sender: str
    size: int = 0
    body: str = ""
    smtputf8: bool = False
    auth: str = ""
    ret: str = ""
    envid: str = ""
    number: int = 0
    recipients: tuple[EnvelopeRecipient, ...] = ()
    overshoot: int = 0
    effects: tuple[tuple[str, str], ...] = ()
    discard: str = ""

    @property
    def queue_id(self) -> str:
        """The queue id once a recipient was accepted, else ""."""
        return f"{self.number:X}" if self.number else ""


@dataclass(slots=True)
class Counters:
    """Commands done and tried, for the disconnect line: `ehlo=1 rcpt=1/2 commands=5/6`."""

    done: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)

    def count(self, verb: str, ok: bool) -> None:
        """One command."""
        name = verb.lower()
        self.tried[name] = self.tried.get(name, 0) + 1
        if ok:
            self.done[name] = self.done.get(name, 0) + 1

    def __str__(self) -> str:
        parts = []
        for name, tried in self.tried.items():
            done = self.done.get(name, 0)
            parts.append(f"{name}={done}" if done == tried else f"{name}={done}/{tried}")
        done, tried = sum(self.done.values()), sum(self.tried.values())
        parts.append(f"commands={done}" if done == tried else f"commands={done}/{tried}")
        return " ".join(parts)
