"""From a Question to an Explanation: session, rewriting, routes, mailboxes, in the order in which mail meets them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import msgspec

from tayori.config.mastercf import read_services
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, Delivered
from tayori.delivery.smtp import SmtpAgent
from tayori.policy.log import effect_lines
from tayori.programs.daemons.compose import Built, House, furnish, smtpd_services
from tayori.programs.daemons.dispatch.dispatcher import AT_ONCE, DISCARDED
from tayori.programs.daemons.dispatch.ended import Ended, Work
from tayori.programs.daemons.dispatch.mailboxes import Mailboxes
from tayori.programs.daemons.dispatch.members import Members
from tayori.programs.daemons.dispatch.ways_out import Forward, WaysOut
from tayori.programs.daemons.layout import Layout
from tayori.programs.daemons.names import DnsNames
from tayori.programs.daemons.verify import Verifier
from tayori.programs.explain import causes, watch
from tayori.programs.explain.content import content
from tayori.programs.explain.hops import destinations
from tayori.programs.explain.places import Places, Told
from tayori.programs.explain.recalled import Recalled
from tayori.programs.explain.stage import NUMBER, Play
from tayori.programs.explain.values import Destination, Explanation, Judged, Lookup, Question, Route, Target
from tayori.programs.history.convert import decision, steps
from tayori.programs.history.record import Decision
from tayori.programs.history.trail import about_command
from tayori.programs.language import N_, Language
from tayori.queue.model import Attributes, Message, Recipient
from tayori.rewrite.cleanup import Incoming
from tayori.rewrite.probe_sender import Nobody
from tayori.rewrite.results import Cleaned, Deferred, Resolved, Rewritten

ASSUMED_LOGIN = N_("You may not ask the password back ends yourself: the login {login} is taken as good.")
NO_LOGIN = N_("The login {login} is left out: this service offers no AUTH to such a client.")
NOT_PROBED = N_("The rules verify addresses: what the running server knows is used, and no other server is asked.")
MOST_ROUTES = 100
ASKED_SERVICE = N_("The rules ask a policy service; it was really asked, and may remember this question.")


class Explainer:
    """One configuration, asked many times. Close it when done. Raises ConfigError."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tables = watch.WatchedTables(settings)
        house = furnish(settings, read_services(settings), self.tables)
        recalled = Recalled(settings, Layout.of(settings).queue)
        self.house: House = replace(house, verifier=cast(Verifier, recalled))
        self.services: list[Built] = smtpd_services(self.house)
        self._ways_out = WaysOut(settings, self.tables, house.aliases, house.finder, house.resolver)
        """mailbox_transport and its like, as the dispatcher asks them."""
        self.started = False

    def service(self, wanted: str, port: int = 0) -> Built:
        """By name, port, or `address:port`; "" is the first. Raises ConfigError when there is none."""
        for built in self.services:
            name = built.service.name
            same = wanted in (name, name.rpartition(":")[2]) if wanted else not port or causes.port_of(built) == port
            if same:
                return built
        known = ", ".join(built.service.name for built in self.services) or "none"
        raise ConfigError(f"no smtpd service {wanted or port} in master.cf (there are: {known})", None, "")

    async def start(self) -> None:
        """Ask the login back ends what they can do, as a worker does when it starts."""
        if not self.started:
            self.started = True
            for authenticator in {id(b.authenticator): b.authenticator for b in self.services}.values():
                if authenticator is not None:
                    await authenticator.start()

    async def play(self, question: Question) -> Play:
        """The imagined session alone."""
        await self.start()
        play = Play(self.house, self.service(question.service), question)
        play.judgements.mark = lambda: len(self.tables.heard)
        await play.run()
        return play

    async def explain(self, question: Question, say: Language) -> Explanation:
        """The whole way."""
        before = len(self.tables.heard)
        play = await self.play(question)
        built, judged = play.built, []
        situation = causes.Situation(
            client=question.client,
            login=play.session.login.username if play.session.login else "",
            tls=play.session.tls is not None,
            offered=play.offered,
        )
        for heard in play.judgements.heard:
            verdict, facts = heard.verdict, heard.facts
            if verdict is None or facts is None:
                made = Decision(heard.verb, about_command(heard.verb, heard.argument), "refused", str(heard.reply))
            else:
                reply = heard.reply or (play.session.soften(verdict.reply) if verdict.reply else None)
                made = decision(verdict, facts, str(reply) if reply and not verdict.permitted else "")
            found = self.tables.since(before, watch.LISTING) if heard.mark > before else ()
            before = max(before, heard.mark)
            why, mends = (
                ((), ()) if made.good else await causes.reasons(made, facts, situation, built, self.services, say)
            )
            trace, lines = (steps(verdict.trace), effect_lines(verdict, facts)) if verdict and facts else ((), ())
            judged.append(Judged(made, trace, found, tuple(lines), why, mends))
        return await self._after(question, play, judged, say)

    async def _after(self, question: Question, play: Play, judged: list[Judged], say: Language) -> Explanation:
        intake, built = play.intake, play.built
        cleaned = intake.cleaned
        rewriting: tuple[Lookup, ...] = ()
        routes: list[Route] = []
        notes: list[str] = []
        if play.login_assumed:
            notes.append(say(ASSUMED_LOGIN, login=question.login))
        if not play.login_possible:
            notes.append(say(NO_LOGIN, login=question.login))
        rules = {one.restriction for each in judged for one in each.asked}
        if "check_policy_service" in rules:
            notes.append(say(ASKED_SERVICE))
        if any(name.startswith("reject_unverified_") for name in rules):
            notes.append(say(NOT_PROBED))
        if cleaned is not None:
            rewriting = self.tables.since(intake.mark, watch.CLEANING)
            if cleaned.reject is None and not cleaned.discard:
                routes = await self._routes(cleaned, play)
        return Explanation(
            question=question,
            service=built.service.name,
            place=str(built.service.origin) if built.service.origin else "",
            client_name=play.session.client.name,
            session=tuple(play.script.lines),
            judged=tuple(judged),
            accepted=cleaned is not None and cleaned.reject is None,
            login=play.session.login.username if play.session.login else "",
            sender=cleaned.sender if cleaned else question.sender,
            rewriting=rewriting,
            routes=tuple(routes),
            notes=tuple(notes),
            log=tuple(play.log.lines),
            content=content(play, rewriting, _end_of_message(play)) if question.content else None,
        )

    async def _routes(self, cleaned: Cleaned, play: Play) -> list[Route]:
        """Of the recipients, then of the copies that aliases send on, which are mails of their own."""
        routes = [await self._route(one.address, one.original, cleaned, play) for one in cleaned.recipients]
        sent: set[str] = set()
        for route in routes:
            for target in route.targets:
                if target.status != "forwarded" or target.address.lower() in sent or len(routes) >= MOST_ROUTES:
                    continue
                sent.add(target.address.lower())
                sender = cleaned.sender if target.sender is None else target.sender
                copy = await self._copy(sender, target.address)
                seen = {one.address.lower() for one in routes}
                for one in copy.recipients:
                    if one.address.lower() not in seen:
                        routes.append(await self._route(one.address, one.original, copy, play))
        return routes

    async def _copy(self, sender: str, recipient: str) -> Cleaned:
        """A mail that is sent on, as cleanup takes it in anew."""
        whole = (Rewritten(recipient, recipient),)
        copy = await self.house.cleanup.clean(
            Incoming(sender, whole, b"\n", remote=True, now=0, queue_id="0", internal=True)
        )
        return copy if copy.recipients else msgspec.structs.replace(copy, recipients=whole)

    async def _route(self, address: str, original: str, cleaned: Cleaned, play: Play) -> Route:
        mark = len(self.tables.heard)
        found = await self.house.resolver.resolve(address, cleaned.sender)
        if isinstance(found, Deferred):
            return Route(address, original, "", "", "", "", trouble=found.why)
        lookups = self.tables.since(mark, watch.ROUTING)
        chosen = play.intake.forced.filter or cleaned.filter
        moved = ""
        if not chosen and self._ways_out.active and self.house.program(found.transport) == "local":
            way = await self._ways_out.find(Recipient(1, address, original), found, cleaned.sender, cleaned.content)
            if isinstance(way, Deferred):
                return Route(address, original, "", "", "", "", trouble=way.why)
            if isinstance(way, Forward):
                moved = way.address
            else:
                address, found = way[0].address, way[1]
        address = found.address
        reason, origin = found.reason, found.origin
        program = self.house.program(found.transport)
        nexthop, transport = found.nexthop, found.transport
        if chosen:
            transport, _, nexthop = chosen.partition(":")
            program, reason, origin = self.house.program(transport), "FILTER", None
        targets: tuple[Target, ...] = ()
        hosts: tuple[Destination, ...] = ()
        agent = self.house.agents.get(transport)
        if isinstance(agent, SmtpAgent) and play.question.dns:
            hosts = await destinations(agent, DnsNames(self.settings, self.house.dns), nexthop)
        if program == "local" and Nobody(self.settings).owns(found.address):
            targets = (Target(address, "discarded", DISCARDED.text, DISCARDED.enhanced),)
        elif moved:
            targets = (Target(moved, "forwarded", address),)
        elif program in AT_ONCE:
            end = AT_ONCE[program](nexthop)
            targets = (Target(address, _status(end), end.text, end.enhanced),)
        elif program in ("local", "virtual"):
            mark = len(self.tables.heard)
            targets = await self._mailboxes(Recipient(1, address, original), program, cleaned)
            lookups += self.tables.since(mark, watch.DELIVERING)
        return Route(
            found.address, original, found.kind.value, transport, program, nexthop, reason, _place(origin, found),
            lookups, targets, destinations=hosts,
        )  # fmt: skip

    async def _mailboxes(self, recipient: Recipient, program: str, cleaned: Cleaned) -> tuple[Target, ...]:
        """By the worker's own Mailboxes, with an agent that says where instead of writing."""
        agent = Places(self.settings)
        house = self.house
        boxes = Mailboxes(
            self.settings,
            house.tables,
            house.aliases,
            house.finder,
            agent,
            Told(house, agent),
        )
        if self._ways_out.active:
            boxes.members = Members(self._ways_out, house.resolver, house.program, _passed)
        message = Message(
            NUMBER, time.time(), cleaned.sender, len(cleaned.content), Attributes(), (recipient,), cleaned.content
        )
        local, virtual = ([recipient], []) if program == "local" else ([], [recipient])
        ended = await boxes.deliver(Work(message, cleaned.content, time.time()), local, virtual)
        read = tuple(Target(who, "read", path, owner=owner) for (who, path), owner in agent.read.items())
        return (*read, *(target for end in ended for target in _targets(end, agent.owners)))

    def close(self) -> None:
        """Release tables and back ends."""
        for authenticator in {id(b.authenticator): b.authenticator for b in self.services}.values():
            if authenticator is not None:
                authenticator.close()
        self.house.tables.close()


async def _passed(work: Work, recipient: Recipient, resolved: Resolved) -> list[Ended]:
    """Stands in for the delivery of an alias member whose mail does not go into the mailbox."""
    return [Ended(recipient, Delivered(f"{resolved.transport}:{resolved.nexthop}"), resolved.transport)]


def _end_of_message(play: Play) -> str:
    return next((line.reply for line in reversed(play.script.lines) if line.command == "(message)"), "")


def _targets(end: Ended, owners: Mapping[str, str]) -> list[Target]:
    address = end.address or end.recipient.address
    if end.forwards:
        by, sender = end.recipient.address, end.forward_sender
        return [Target(forward, "forwarded", by, sender=sender) for forward in end.forwards]
    outcome = end.outcome
    return [Target(address, _status(outcome), outcome.text, outcome.enhanced, owners.get(outcome.text, ""))]


def _status(outcome: object) -> str:
    if isinstance(outcome, Delivered):
        return "delivered"
    return "bounced" if isinstance(outcome, BouncedDelivery) else "deferred"


def _place(origin: Origin | None, found: Resolved) -> str:
    return str(origin or found.origin or "")
