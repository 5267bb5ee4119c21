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

    counts: dict[str, list[int]] = field(default_factory=dict)
    """By verb: done, tried."""

    def count(self, verb: str, ok: bool) -> None:
        """One command."""
        count = self.counts.get(verb)
        if count is None:
            self.counts[verb] = [1 if ok else 0, 1]
        else:
            count[1] += 1
            if ok:
                count[0] += 1

    def __str__(self) -> str:
        text = ""
        all_done = all_tried = 0
        for verb, (done, tried) in self.counts.items():
            all_done += done
            all_tried += tried
            text += f"{verb.lower()}={done} " if done == tried else f"{verb.lower()}={done}/{tried} "
        return f"{text}commands={all_done}" if all_done == all_tried else f"{text}commands={all_done}/{all_tried}"
