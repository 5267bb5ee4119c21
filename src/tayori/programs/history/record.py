"""The values that the history keeps: one Record for each mail that a client tried to hand over, and its Outcomes.

A session that tried no mail leaves one Record without recipients. Everything is bounded: MOST decisions a record,
TEXT characters a text. Stored as msgpack arrays: new fields go to the end, so that old rows stay readable.
"""

from __future__ import annotations

import msgspec

MOST = 100
"""Decisions kept of one mail; of more only the number is kept."""
TEXT = 500
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that looks like a digit."""
CODE_LENGTH = 5


class Asked(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One restriction asked. `answer`: dunno, permit, reject, defer, warn …; `text` the reply, if there was one.

    `source`: the line of the configuration as it read then, kept of the rule that refused.
    """

    stage: str
    parameter: str
    restriction: str
    argument: str = ""
    file: str = ""
    line: int = 0
    looked_up: str = ""
    found: str = ""
    answer: str = "dunno"
    text: str = ""
    source: str = ""

    @property
    def place(self) -> str:
        """`file:line`; empty for a default."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Decision(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What was decided at one command. `about`: the recipient at RCPT, else what the stage is about.

    `action`: permit, reject, defer, discard, disconnect; "refused" where no restriction was the cause (a size limit,
    a rate, an unknown command). `reply` is what the client read. `by` decided; `asked` are all that were asked, kept
    for refusals only. `code` is the short code of a refusal.
    """

    stage: str
    about: str
    action: str
    reply: str = ""
    by: Asked | None = None
    asked: tuple[Asked, ...] = ()
    code: str = ""

    @property
    def good(self) -> bool:
        """Whether it was a yes."""
        return self.action in ("permit", "discard")


class Failed(msgspec.Struct, frozen=True, array_like=True):
    """A login that failed."""

    method: str
    username: str
    why: str


class Record(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """`when` in seconds since the epoch; `offered`: the AUTH mechanisms the client was told, None when it never asked
    (no EHLO). `number` is the queue number, 0 for none; `sender` None when no MAIL FROM was accepted. `kind`: smtp,
    or local for mail that sendmail handed in. `more`: decisions that were not kept. `config`: the digest of main.cf
    and master.cf then; `head`: the first bytes of the header, LF line ends, with tayori_history_headers only.
    """

    when: float
    client: str
    client_name: str = "unknown"
    client_port: int = 0
    server: str = ""
    server_port: int = 0
    helo: str | None = None
    protocol: str = "ESMTP"
    tls: str = ""
    login: str = ""
    method: str = ""
    failed: tuple[Failed, ...] = ()
    offered: tuple[str, ...] | None = None
    sender: str | None = None
    decisions: tuple[Decision, ...] = ()
    reply: str = ""
    number: int = 0
    size: int = 0
    kind: str = "smtp"
    more: int = 0
    reverse_name: str = "unknown"
    name_code: int = 5
    reverse_code: int = 5
    config: str = ""
    head: bytes = b""

    @property
    def queue_id(self) -> str:
        """The queue id, or ""."""
        return f"{self.number:X}" if self.number else ""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Every recipient that was named, accepted or not."""
        return tuple(one.about for one in self.decisions if one.stage == "RCPT")

    @property
    def named_sender(self) -> str | None:
        """The sender, one that a rule refused at MAIL FROM too."""
        refused = [one.about for one in self.decisions if one.stage == "MAIL" and one.by is not None]
        return refused[-1] if self.sender is None and refused else self.sender

    @property
    def refusals(self) -> tuple[Decision, ...]:
        """The decisions that were a no."""
        return tuple(one for one in self.decisions if not one.good)

    @property
    def accepted(self) -> bool:
        """Whether the mail was taken."""
        return self.kind == "local" or self.reply.startswith("2")


class Outcome(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What became of one recipient at one attempt. `status`: sent, deferred, bounced; "forward" and "notice" name in
    `text` the queue id of a message that was born of this one."""

    number: int
    when: float
    status: str
    address: str = ""
    original: str = ""
    relay: str = ""
    enhanced: str = ""
    text: str = ""


def code_text(number: int) -> str:
    """The short code of a number: CODE_LENGTH letters."""
    letters = []
    for _ in range(CODE_LENGTH):
        number, rest = divmod(number, 32)
        letters.append(ALPHABET[rest])
    return "".join(reversed(letters))


def code_of(text: str) -> str:
    """The code as it is kept, from what a person typed (`[r-7K2Qo]`, `r-7k2q0`); "" when it is none."""
    bare = text.strip().strip("[]").strip().upper().removeprefix("R-")
    bare = bare.replace("O", "0").replace("I", "1").replace("L", "1")
    return bare if len(bare) == CODE_LENGTH and all(letter in ALPHABET for letter in bare) else ""
