"""The one evaluator of restriction lists (SMTPD_ACCESS_README; postconf(5) smtpd_*_restrictions).

An Evaluation is the state of one decision. It walks compiled rules in order until one permits or refuses;
`warn_if_reject` turns a refusal into a note, `defer_if_reject` turns a 5xx into its 4xx, `defer_if_permit` is
kept until the end and then wins over acceptance. Every rule asked leaves a Step. It knows no restriction by
name: adding one never changes this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.policy.answers import Answer, DeferIfPermit, Permit, Refusal, misconfigured
from tayori.policy.facts import Facts
from tayori.policy.rule import Resource, Rule, RuleList
from tayori.policy.verdict import Action, Effect, Pending, Reason, Step, Verdict

if TYPE_CHECKING:
    from tayori.policy.services import Services

MAX_DEPTH = 100
ABOUT_CLIENT = frozenset(
    (
        "permit_inet_interfaces",
        "permit_mynetworks",
        "permit_sasl_authenticated",
        "permit_tls_all_clientcerts",
        "permit_tls_clientcerts",
    )
)
"""Permissions that the log says of the client, whatever list they stand in."""


class Evaluation:
    """One decision under way. Restrictions read `facts`, `services`, `name` and `resource`, and may call
    `note` (what was looked up), `effect`, and `nested` (run other rules)."""

    __slots__ = (
        "_answer",
        "_deferred",
        "_depth",
        "_final",
        "_looked_up",
        "_reason",
        "_soft",
        "_warn",
        "discarded",
        "effects",
        "facts",
        "label",
        "listed_recipient",
        "listed_sender",
        "name",
        "permit_reason",
        "resource",
        "services",
        "trace",
    )

    def __init__(self, facts: Facts, services: Services, pending: Pending | None) -> None:
        self.facts = facts
        self.services = services
        self.trace: list[Step] = []
        self.effects: list[Effect] = []
        self.discarded = False
        self.listed_sender = self.listed_recipient = False
        self.permit_reason: Reason | None = None
        self.name = ""
        self.resource = Resource.CLIENT
        self.label = Resource.CLIENT.value
        self._deferred = pending
        self._soft: tuple[Refusal, Reason] | None = None
        self._warn = 0
        self._depth = 0
        self._final: Refusal | None = None
        self._reason: Reason | None = None
        self._looked_up = ""
        self._answer = ""

    def begin(self, resource: Resource, name: str) -> None:
        """Start a stage: defer_if_reject does not cross from one to the next."""
        self.resource = resource
        self.label = resource.value
        self.name = name
        self._warn = 0
        self._soft = None

    @property
    def deferred(self) -> bool:
        """Whether acceptance is out of the question: a defer_if_permit waits."""
        return self._deferred is not None

    @property
    def warning(self) -> bool:
        """Whether a refusal would only be a note (warn_if_reject): what was asked so was not really asked."""
        return self._warn > 0

    async def ask(self, rules: RuleList) -> bool:
        """Walk one list of the stage. True when it refused (a permit ends only its own list)."""
        return isinstance(await self._walk(rules.rules), Refusal)

    def note(self, looked_up: str, answer: str = "") -> None:
        """What the rule being asked looked up and what came back, for its Step."""
        if self._looked_up:
            self._looked_up = f"{self._looked_up}, {looked_up}"
            self._answer = answer or self._answer
        else:
            self._looked_up = looked_up
            self._answer = answer

    def effect(self, kind: str, value: str = "", log: str = "") -> None:
        """Ask for something beside the verdict."""
        self.effects.append(Effect(kind, value, log))

    def rejected(self, name: str, resource: str, text: str) -> str:
        """The usual shape of a refusal's text."""
        return f"<{name}>: {resource} rejected: {text}"

    async def about(self, name: str, label: str, rules: tuple[Rule, ...]) -> Answer:
        """Run the rules that an access table named; their texts speak of what was looked up there."""
        kept = self.name, self.label
        self.name, self.label = name, label
        answer = await self.nested(rules)
        self.name, self.label = kept
        return answer

    async def nested(self, rules: tuple[Rule, ...]) -> Answer:
        """Run other rules in place of this one (restriction classes, access(5) restrictions)."""
        if self._depth >= MAX_DEPTH:
            return misconfigured()
        kept = (self._looked_up, self._answer)
        self._looked_up = self._answer = ""
        self._depth += 1
        answer = await self._walk(rules)
        self._depth -= 1
        self._looked_up, self._answer = kept
        return answer

    async def _walk(self, rules: tuple[Rule, ...]) -> Permit | Refusal | None:
        stage = self.facts.stage
        for rule in rules:
            if self.discarded:
                break
            if rule.warn:
                self._warn += 1
            answer = await rule.function(self, rule)
            if answer is None and not self._looked_up:
                self.trace.append(rule.dunno(stage))
            else:
                answer = self._settle(rule, answer)
            if rule.warn:
                self._warn -= 1
            if answer is not None:
                return answer
            if self._soft is not None and self._deferred is not None:
                break
        return None

    def _settle(self, rule: Rule, answer: Answer) -> Permit | Refusal | None:
        """Write the Step, and turn an answer into what the list does."""
        reason = rule.reason(self.facts.stage, self._looked_up, self._answer)
        self._looked_up = self._answer = ""
        if answer is None:
            self.trace.append(Step(reason, "dunno"))
            return None
        if isinstance(answer, Permit):
            self.trace.append(Step(reason, "permit"))
            if rule.logged:
                client, about = self.facts.client, f"{self.label}={self.name}"
                if rule.name in ABOUT_CLIENT:
                    about = f"{Resource.CLIENT.value}={client.name}[{client.address}]"
                log = f"action={rule.name} for {about} "
                self.effects.append(Effect("PERMIT", rule.name, log))
            self.permit_reason = self.permit_reason if self._depth else reason
            return answer
        if isinstance(answer, Refusal):
            return answer if answer is self._final else self._refuse(answer, reason)
        text = str(answer.refusal.reply())
        if isinstance(answer, DeferIfPermit):
            if self._warn:
                return self._refuse(answer.refusal, reason)
            self.trace.append(Step(reason, "defer_if_permit", text))
            if self._deferred is None:
                self._deferred = Pending(answer.refusal.reply(), reason)
            return None
        self.trace.append(Step(reason, "defer_if_reject", text))
        if self._soft is None:
            self._soft = (answer.refusal, reason)
        return None

    def _refuse(self, refusal: Refusal, reason: Reason) -> Refusal | None:
        reply = refusal.reply()
        if self._warn and not refusal.hard:
            self.trace.append(Step(reason, "warn", str(reply)))
            self.effects.append(Effect("REJECT_WARNING", str(reply), refusal.log or str(reply)))
            return None
        self.trace.append(Step(reason, "defer" if reply.temporary else "reject", str(reply)))
        if refusal.code >= 500 and self._soft is not None:
            refusal, reason = self._soft
            self._soft = None
        self._final = refusal
        self._reason = reason
        return refusal

    def implied(self, rule: Rule, answer: Answer) -> bool:
        """Settle the answer of a rule that stands in no list (unlisted recipients). True when it refused."""
        return isinstance(self._settle(rule, answer), Refusal)

    def verdict(self, permits: bool) -> Verdict:
        """The end. `permits`: acceptance would follow, so what was deferred "if permit" now counts."""
        trace = tuple(self.trace)
        effects = tuple(self.effects)
        refusal = self._final
        if refusal is not None:
            reply = refusal.reply()
            action = Action.DEFER if reply.temporary else Action.REJECT
            if refusal.code in (421, 521):
                action = Action.DISCONNECT
            return Verdict(action, reply, self._reason, effects, trace, refusal.log)
        if permits and self._deferred is not None:
            return Verdict(Action.DEFER, self._deferred.reply, self._deferred.reason, effects, trace)
        if self.discarded:
            return Verdict(Action.DISCARD, None, self.permit_reason, effects, trace)
        return Verdict(Action.PERMIT, None, self.permit_reason, effects, trace, pending=self._deferred)
