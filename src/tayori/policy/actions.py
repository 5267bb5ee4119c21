"""access(5) actions: what the right-hand side of a table, or a policy server's answer, makes Postfix do.

The same text may speak of a client, a HELO name, a sender or a recipient: `Subject` says of which, and enhanced
codes are fitted to it ("ENHANCED STATUS CODES"). What is no known action is a list of restrictions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tayori.config.origin import ConfigError, Origin
from tayori.policy.answers import PERMIT, Answer, DeferIfPermit, DeferIfReject, Refusal, misconfigured
from tayori.policy.dsn import fitting
from tayori.policy.facts import Stage
from tayori.policy.generic import reply_code

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation
    from tayori.policy.rule import Rule

_DSN = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_CODED = re.compile(r"([45]\d\d)\s+(.*)", re.DOTALL)
DENIED = "Access denied"
UNAVAILABLE = "Service unavailable"


@dataclass(frozen=True, slots=True)
class Subject:
    """`<name>: resource rejected: …`."""

    name: str
    resource: str


NO_MESSAGE = frozenset((Stage.CONNECT, Stage.HELO, Stage.PLAIN_HELO, Stage.VRFY, Stage.ETRN))
"""Where there is no message that an action could act on (smtpd_delay_reject = no, for the first three)."""


class Actions:
    """Carries out right-hand sides for one restriction."""

    __slots__ = ("_compiler", "_defer", "_logged", "_reject")

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._reject = reply_code(compiler, "access_map_reject_code")
        self._defer = reply_code(compiler, "access_map_defer_code")
        self._logged = compiler.is_logged("OK")

    async def apply(self, run: Evaluation, rule: Rule, value: str, about: Subject, place: Origin | None) -> Answer:
        """The answer that `value` stands for; `place` is the table's line."""
        word, _, text = value.partition(" ")
        text = text.strip()
        name = word.upper()
        if self._logged and (name == "OK" or value.isdigit()):
            run.effect("PERMIT", "OK", f"action=OK for {about.resource}={about.name} from {rule.argument}")
        simple = SIMPLE.get(name)
        if simple is not None:
            return simple(self, run, text, about)
        message = MESSAGE.get(name)
        if message is not None:
            if run.facts.stage in NO_MESSAGE and name not in ("INFO", "WARN"):
                run.note(f"{name} {text}".rstrip(), "there is no message here")
                return None
            return message(run, name, text, about)
        coded = _CODED.match(value)
        if coded is not None:
            default = "4.7.1" if value[0] == "4" else "5.7.1"
            return self.refusal(int(coded.group(1)), default, coded.group(2).strip(), about, DENIED)
        if value.isdigit():
            return PERMIT
        try:
            rules = self._compiler.result(value, rule.parameter, run.resource, place)
        except ConfigError as error:
            run.note(value, str(error))
            return misconfigured()
        return await run.about(about.name, about.resource, rules)

    def refusal(self, code: int, enhanced: str, text: str, about: Subject, default: str) -> Refusal:
        """A refusal whose text may begin with an enhanced code of its own."""
        found = _DSN.match(text)
        if found is not None:
            enhanced, text = found.group(1), text[found.end() :]
        text = f"<{about.name}>: {about.resource} rejected: {text or default}"
        return Refusal(code, fitting(enhanced, about.resource), text)

    def reject(self, run: Evaluation, text: str, about: Subject) -> Answer:
        """REJECT."""
        del run
        return self.refusal(self._reject, "5.7.1", text, about, DENIED)

    def defer(self, run: Evaluation, text: str, about: Subject) -> Answer:
        """DEFER."""
        del run
        return self.refusal(self._defer, "4.7.1", text, about, DENIED)

    def defer_if_reject(self, run: Evaluation, text: str, about: Subject) -> Answer:
        """DEFER_IF_REJECT."""
        del run
        return DeferIfReject(self.refusal(self._defer, "4.7.1", text, about, UNAVAILABLE))

    def defer_if_permit(self, run: Evaluation, text: str, about: Subject) -> Answer:
        """DEFER_IF_PERMIT."""
        del run
        return DeferIfPermit(self.refusal(self._defer, "4.7.1", text, about, UNAVAILABLE))

    def ok(self, run: Evaluation, text: str, about: Subject) -> Answer:
        """OK."""
        del run, text, about
        return PERMIT

    def dunno(self, run: Evaluation, text: str, about: Subject) -> Answer:
        """DUNNO."""
        del run, text, about
        return None


def _hold(run: Evaluation, kind: str, text: str, about: Subject) -> Answer:
    run.effect(kind, text, f"<{about.name}>: {about.resource} {text or 'triggers HOLD action'}")
    return None


def _discard(run: Evaluation, kind: str, text: str, about: Subject) -> Answer:
    run.effect(kind, text, f"<{about.name}>: {about.resource} {text or 'triggers DISCARD action'}")
    run.discarded = True
    return None


def _route(run: Evaluation, kind: str, text: str, about: Subject) -> Answer:
    """FILTER wants transport:destination, REDIRECT and BCC an address."""
    if (":" if kind == "FILTER" else "@") not in text:
        run.note(f"{kind} {text}", "not transport:destination" if kind == "FILTER" else "no @domain in address")
        return None
    run.effect(kind, text, f"<{about.name}>: {about.resource} triggers {kind} {text}")
    return None


def _prepend(run: Evaluation, kind: str, text: str, about: Subject) -> Answer:
    del about
    if run.facts.stage is Stage.END_OF_DATA:
        run.note("PREPEND", "too late: the content has been received")
    elif not text:
        run.note("PREPEND", "no header text")
    else:
        run.effect(kind, text)
    return None


def _note(run: Evaluation, kind: str, text: str, about: Subject) -> Answer:
    del about
    run.effect(kind, text, text)
    return None


Simple = Callable[[Actions, "Evaluation", str, Subject], Answer]
Message = Callable[["Evaluation", str, str, Subject], Answer]

SIMPLE: dict[str, Simple] = {
    "OK": Actions.ok,
    "DUNNO": Actions.dunno,
    "REJECT": Actions.reject,
    "DEFER": Actions.defer,
    "DEFER_IF_REJECT": Actions.defer_if_reject,
    "DEFER_IF_PERMIT": Actions.defer_if_permit,
}
MESSAGE: dict[str, Message] = {
    "BCC": _route,
    "DISCARD": _discard,
    "FILTER": _route,
    "HOLD": _hold,
    "INFO": _note,
    "PREPEND": _prepend,
    "REDIRECT": _route,
    "WARN": _note,
}
