"""What was said in a session, kept for the postmaster: postconf(5) notify_classes.

At the end of a session in which something of a class that is named there went wrong, the postmaster gets the whole
conversation: `bounce` (an unknown recipient or sender, a message that is too long), `policy` (any other refusal),
`protocol` (a client that does not keep to the protocol), `resource` (no room, no queue). What a client says to log in
is not kept. A refusal to deliver is a notice to `bounce_notice_recipient`, all else to `error_notice_recipient`.
"""

from __future__ import annotations

import textwrap

from tayori.policy.verdict import Verdict
from tayori.protocol.reply import Reply
from tayori.protocol.smtp_commands import COMMANDS

BOUNCE, POLICY, PROTOCOL, RESOURCE = "bounce", "policy", "protocol", "resource"
KINDS = frozenset((BOUNCE, POLICY, PROTOCOL, RESOURCE))
MOST = 5_000
WIDTH = 78
"""Lines kept of a session that never comes to a point where they may be forgotten; width of a line in the notice."""

_RESOURCE = frozenset(("4.3.0", "4.3.1", "5.3.0", "5.3.1"))
_SILENT = frozenset(("AUTH", "ETRN"))
_CONTENT = frozenset(("DATA", "BDAT"))
_SYNTAX = frozenset((500, 501, 502, 503, 504, 530, 553, 555))


class Transcript:
    """The lines of one session and what went wrong in it. `classes`: of notify_classes; `threshold`:
    smtpd_history_flush_threshold."""

    __slots__ = ("_classes", "_judged", "_lines", "_secret", "_threshold", "_wrong", "kept")

    def __init__(self, classes: frozenset[str], threshold: int) -> None:
        self._classes = classes & KINDS
        self._threshold = threshold
        self._lines: list[tuple[str, bytes]] = []
        self._wrong: set[str] = set()
        self._judged = ""
        self._secret = False
        self.kept = bool(self._classes)

    def heard(self, verb: str, argument: bytes, line: bytes) -> None:
        """A command, without its line end, and what it was taken for. What belongs to a login is not kept: neither
        the response behind AUTH nor what a client that goes on after a refused AUTH sends as commands."""
        self._judged = ""
        if not self.kept:
            return
        if verb == "AUTH":
            self._secret = True
            line = b" ".join((b"AUTH", *argument.split()[:1], b"(not shown)"))
        elif verb in COMMANDS:
            self._secret = False
        elif self._secret:
            line = b"(not shown)"
        self._add("In: ", line)

    def said(self, reply: bytes) -> None:
        """A reply in its wire form."""
        if self.kept:
            self._add("Out:", reply)

    def _add(self, who: str, text: bytes) -> None:
        if len(self._lines) < MOST:
            self._lines.append((who, text))

    def judged(self, verdict: Verdict) -> None:
        """A rule refused what was heard last."""
        reason, reply = verdict.reason, verdict.reply
        listed = reason is not None and "reject_unlisted" in f"{reason.restriction} {reason.parameter}"
        self._judged = BOUNCE if listed and reply is not None and "User unknown" in reply.text else POLICY
        self._wrong.add(self._judged)

    def wrong(self, kind: str) -> None:
        """Something of this class went wrong."""
        self._wrong.add(kind)

    def answered(self, verb: str, reply: Reply, helo_asked: bool) -> None:
        """The reply to a command. `helo_asked`: it was refused for want of HELO."""
        if not self._judged and reply.code >= 400:
            self._wrong.add(POLICY if helo_asked else _kind(verb, reply))

    @property
    def due(self) -> bool:
        """Whether the postmaster shall hear of it."""
        return not self._classes.isdisjoint(self._wrong)

    @property
    def long(self) -> bool:
        """Whether it is time to forget, told or not."""
        return len(self._lines) > self._threshold

    @property
    def bounced(self) -> bool:
        """Whether mail was refused because it could not be delivered."""
        return BOUNCE in self._wrong

    def forget(self) -> None:
        """All of it."""
        self._lines.clear()
        self._wrong.clear()

    def text(self, ending: str) -> str:
        """The body of the notice, LF ended. `ending`: why the session was over before its time, or empty."""
        lines: list[str] = []
        for who, raw in self._lines:
            for one in raw.decode("utf-8", "replace").rstrip("\r\n").split("\r\n"):
                shown = "".join(char if char.isprintable() else "?" for char in one)
                lines += textwrap.wrap(
                    f"{who} {shown}", WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
                )
        said = "\n".join(f" {line}" for line in lines)
        over = f"The session ended early: {ending}\n\n" if ending else ""
        return f"What the server (Out) and the client (In) said:\n\n{said}\n\n{over}The mail log has more.\n"


def _kind(verb: str, reply: Reply) -> str:
    code = reply.code
    if verb in _SILENT:
        return ""
    if reply.enhanced in _RESOURCE:
        return RESOURCE
    if verb in _CONTENT and code not in _SYNTAX:
        return BOUNCE if code == 552 else POLICY
    if code == 552 or (verb == "VRFY" and code == 502):
        return POLICY
    return PROTOCOL if code in _SYNTAX else ""
