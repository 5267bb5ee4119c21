"""Policy: what the SMTP server may do, stage by stage (postconf(5) smtpd_*_restrictions, smtpd_delay_reject).

With smtpd_delay_reject = yes the client, HELO and sender lists are asked at RCPT TO (VRFY, ETRN), otherwise at
their own stage. At RCPT TO the relay list comes before the recipient list if
smtpd_relay_before_recipient_restrictions says so; then unlisted recipients are refused
(smtpd_reject_unlisted_recipient). `postmaster` without a domain is always accepted (RFC 5321 4.5.1).
"""

from __future__ import annotations

import msgspec

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.policy.compile import Compiler
from tayori.policy.evaluate import Evaluation
from tayori.policy.facts import Facts, Stage
from tayori.policy.listed import reject_unlisted_recipient, reject_unlisted_sender
from tayori.policy.restrictions import OLD_SPELLINGS, RELAY_GUARDS, RESTRICTIONS
from tayori.policy.rule import Resource, Rule, RuleList
from tayori.policy.services import Services
from tayori.policy.verdict import Action, Reason, Verdict
from tayori.rewrite.probe_sender import ProbeSender

__all__ = ["Policy", "Services"]

PERMITTED = Verdict(Action.PERMIT)


class Policy:
    """All lists of one service, compiled. `warnings` holds what works but should be mended.

    Raises ConfigError for a list that cannot be used, and when nothing in the relay or recipient list would
    stop a stranger from relaying.
    """

    def __init__(self, settings: Settings, services: Services) -> None:
        self.services = services
        compiler = Compiler(settings, services, RESTRICTIONS, OLD_SPELLINGS)
        self._client = compiler.parameter("smtpd_client_restrictions", Resource.CLIENT)
        self._helo = compiler.parameter("smtpd_helo_restrictions", Resource.HELO)
        self._sender = compiler.parameter("smtpd_sender_restrictions", Resource.SENDER)
        relay = compiler.parameter("smtpd_relay_restrictions", Resource.RECIPIENT)
        recipient = compiler.parameter("smtpd_recipient_restrictions", Resource.RECIPIENT)
        self._data = compiler.parameter("smtpd_data_restrictions", Resource.DATA)
        self._end_of_data = compiler.parameter("smtpd_end_of_data_restrictions", Resource.END_OF_DATA)
        self._etrn = compiler.parameter("smtpd_etrn_restrictions", Resource.ETRN)
        first = settings.flag("smtpd_relay_before_recipient_restrictions")
        self._recipient = (relay, recipient) if first else (recipient, relay)
        self._delay = settings.flag("smtpd_delay_reject")
        self._prober = ProbeSender(settings)
        place = settings.origin("address_verify_sender")
        self._probed = Verdict(Action.PERMIT, None, Reason("RCPT", "address_verify_sender", "permit", "", place))
        self._unlisted_sender = _implied(settings, "smtpd_reject_unlisted_sender")
        self._unlisted_recipient = _implied(settings, "smtpd_reject_unlisted_recipient")
        early = {
            Stage.CONNECT: self._client, Stage.HELO: self._helo, Stage.PLAIN_HELO: self._helo,
            Stage.MAIL: self._sender,
        }  # fmt: skip
        self._asking = {s for s, rules in early.items() if not self._delay and rules.rules}
        if not self._delay and self._unlisted_sender is not None:
            self._asking.add(Stage.MAIL)
        self._asking |= {Stage.DATA} if self._data.rules else set()
        self._asking |= {Stage.END_OF_DATA} if self._end_of_data.rules else set()
        self.warnings: tuple[ConfigError, ...] = tuple(compiler.warnings)
        if not guarded(relay.rules) and not guarded(recipient.rules):
            names = ", ".join(sorted(RELAY_GUARDS))
            raise ConfigError(
                "smtpd_relay_restrictions and smtpd_recipient_restrictions would let strangers relay",
                settings.origin("smtpd_relay_restrictions") or settings.origin("smtpd_recipient_restrictions"),
                f"put one of {names} in one of them",
            )

    @property
    def lists(self) -> tuple[RuleList, ...]:
        """Every list, in the order in which a mail meets them."""
        return self._client, self._helo, self._sender, *self._recipient, self._data, self._end_of_data, self._etrn

    def asks(self, stage: Stage) -> bool:
        """Whether a stage has anything to ask; a session need not gather facts for one that has not."""
        return stage in self._asking

    async def connect(self, facts: Facts) -> Verdict:
        """When a client has connected, before the greeting."""
        return PERMITTED if self._delay else await self._early(facts, self._client, client_name(facts))

    async def helo(self, facts: Facts) -> Verdict:
        """HELO or EHLO; `facts.helo` is its argument."""
        return PERMITTED if self._delay else await self._early(facts, self._helo, facts.helo)

    async def mail(self, facts: Facts) -> Verdict:
        """MAIL FROM."""
        return PERMITTED if self._delay else await self._early(facts, self._sender, facts.sender)

    async def rcpt(self, facts: Facts) -> Verdict:
        """RCPT TO, once per recipient."""
        name = facts.recipient or ""
        if name.lower() == "postmaster":
            return PERMITTED
        if self._prober.owns(name):
            return self._probed
        run = Evaluation(facts, self.services, facts.pending)
        if self._delay and await self._delayed(run, facts):
            return run.verdict(permits=False)
        run.begin(Resource.RECIPIENT, name)
        for rules in self._recipient:
            if rules.rules and await run.ask(rules):
                return run.verdict(permits=False)
        if run.deferred or self._unlisted_recipient is None or run.listed_recipient or run.discarded:
            return run.verdict(permits=True)
        run.implied(self._unlisted_recipient, await reject_unlisted_recipient(run, self._unlisted_recipient))
        return run.verdict(permits=True)

    async def vrfy(self, facts: Facts) -> Verdict:
        """VRFY: the address is judged as a recipient."""
        return await self.rcpt(facts)

    async def etrn(self, facts: Facts) -> Verdict:
        """ETRN; `facts.etrn` is its argument."""
        run = Evaluation(facts, self.services, None)
        if self._delay and await self._delayed(run, msgspec.structs.replace(facts, sender=None)):
            return run.verdict(permits=False)
        run.begin(Resource.ETRN, facts.etrn or "")
        await run.ask(self._etrn)
        return run.verdict(permits=True)

    async def data(self, facts: Facts) -> Verdict:
        """DATA (or the first BDAT)."""
        return await self._content(facts, self._data, "DATA")

    async def end_of_data(self, facts: Facts) -> Verdict:
        """After the content has come; `facts.size` is known now."""
        return await self._content(facts, self._end_of_data, "END-OF-MESSAGE")

    async def _early(self, facts: Facts, rules: RuleList, name: str | None) -> Verdict:
        run = Evaluation(facts, self.services, facts.pending)
        if name is not None:
            await self._stage(run, rules, name)
        return run.verdict(permits=False)

    async def _delayed(self, run: Evaluation, facts: Facts) -> bool:
        """The lists of the stages that passed already. True when one refused."""
        if self._client.rules and await self._stage(run, self._client, client_name(facts)):
            return True
        if self._helo.rules and facts.helo is not None and await self._stage(run, self._helo, facts.helo):
            return True
        if facts.sender is None or not (self._sender.rules or self._unlisted_sender):
            return False
        return await self._stage(run, self._sender, facts.sender)

    async def _stage(self, run: Evaluation, rules: RuleList, name: str) -> bool:
        run.begin(rules.resource, name)
        if await run.ask(rules):
            return True
        rule = self._unlisted_sender
        if rule is None or rules.resource is not Resource.SENDER or run.listed_sender or run.discarded:
            return False
        return run.implied(rule, await reject_unlisted_sender(run, rule))

    async def _content(self, facts: Facts, rules: RuleList, name: str) -> Verdict:
        if not rules.rules:
            return PERMITTED
        if facts.recipient is not None and facts.recipient_count > 1:
            facts = msgspec.structs.replace(facts, recipient=None)
        run = Evaluation(facts, self.services, None)
        run.begin(rules.resource, name)
        await run.ask(rules)
        return run.verdict(permits=True)


def client_name(facts: Facts) -> str:
    """`name[address]`."""
    return f"{facts.client.name}[{facts.client.address}]"


def guarded(rules: tuple[Rule, ...]) -> bool:
    """Whether a list holds one of RELAY_GUARDS where it can work (in a class too, not behind `permit`)."""
    for rule in rules:
        if rule.warn:
            continue
        if rule.name in RELAY_GUARDS or (isinstance(rule.prepared, tuple) and guarded(rule.prepared)):
            return True
        if rule.name == "permit":
            return False
    return False


def _implied(settings: Settings, parameter: str) -> Rule | None:
    if not settings.flag(parameter):
        return None
    sender = parameter.endswith("sender")
    if not sender and "no_unknown_recipient_checks" in settings.items("receive_override_options"):
        return None
    name = "reject_unlisted_sender" if sender else "reject_unlisted_recipient"
    function = reject_unlisted_sender if sender else reject_unlisted_recipient
    return Rule(name, function, "", None, settings.origin(parameter), parameter)
