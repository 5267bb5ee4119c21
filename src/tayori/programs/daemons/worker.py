"""One worker: a whole mail system in one process and one event loop (DESIGN "Processes and privileges").

SMTP in, policy, queue, schedule and SMTP out happen here; only writing into mailboxes is the local process's. The
master has opened the ports and forks us; SIGTERM means "stop soon", SIGUSR1 "a newer worker has taken over: take no
new connection, let those there are finish".
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from tayori.config.mastercf import Service
from tayori.config.settings import Settings
from tayori.net.stream import Stream, bound, no_delay
from tayori.policy.rates import Board
from tayori.programs.daemons import environment
from tayori.programs.daemons.compose import Built, House, furnish, smtpd_services
from tayori.programs.daemons.dispatch.board import DeliveryBoard, Share
from tayori.programs.daemons.dispatch.dispatcher import Dispatcher
from tayori.programs.daemons.dispatch.leaving import Leaving
from tayori.programs.daemons.dispatch.mailboxes import Mailboxes
from tayori.programs.daemons.dispatch.remote import Remote
from tayori.programs.daemons.dispatch.settle import Settler
from tayori.programs.daemons.dispatch.slots import Slots
from tayori.programs.daemons.dispatch.status_filter import StatusFilter
from tayori.programs.daemons.dispatch.ways_out import WaysOut
from tayori.programs.daemons.intake import Intake
from tayori.programs.daemons.layout import Layout, Owner
from tayori.programs.daemons.local_client import LocalAgent
from tayori.programs.daemons.pickup import Pickup
from tayori.programs.daemons.smtpd.service import SmtpdService
from tayori.programs.daemons.smtpd.session import Session
from tayori.programs.daemons.special_client import SpecialClient
from tayori.programs.daemons.submit import Submit
from tayori.programs.history.history import History
from tayori.programs.maillog import MailLog, bridge
from tayori.queue.engine import SqliteQueue
from tayori.queue.model import QueueBroken, QueueFull
from tayori.rewrite.probe_sender import Nobody
from tayori.sasl.authenticator import Authenticator
from tayori.sasl.board import LoginBoard
from tayori.schedule.backoff import Backoff
from tayori.schedule.destinations import Destinations
from tayori.schedule.feedback import Limits
from tayori.tables.matchlist import Kind, MatchList

WATCH_SECONDS = 2.0
STOP_SECONDS = 8.0
DRAIN_SECONDS = 4.0
SETTLE_SECONDS = 0.05
RETIRE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the master hands a worker: configuration already read, sockets already open.

    `sockets[i]` are the listening sockets of `services[i]`. `region` is the worker's part of the boards and its
    place (0 …); `number` owns messages in the queue and is never used twice in one run of the master.
    """

    settings: Settings
    services: tuple[Service, ...]
    sockets: tuple[tuple[socket.socket, ...], ...]
    submit: socket.socket
    layout: Layout
    owner: Owner | None
    board: Board
    login_board: LoginBoard
    delivery_board: DeliveryBoard
    log: MailLog
    region: int
    number: int
    living: tuple[int, ...]
    tied: Callable[[], None]


def _pickup(plan: Plan) -> Settings:
    """The settings with the -o of master.cf's pickup service."""
    service = next((s for s in plan.services if s.command == "pickup"), None)
    return service.settings(plan.settings) if service is not None else plan.settings


def run(plan: Plan, ready: Callable[[], None]) -> None:
    """Be a worker until told to stop. Raises ConfigError when the house cannot be built."""
    environment.adopt(plan.settings)
    house = furnish(plan.settings, plan.services, verify=True)
    built = smtpd_services(house)
    if plan.owner is not None:
        plan.owner.become()
        plan.tied()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Worker(plan, house, built).main(ready))


class _Worker:
    def __init__(self, plan: Plan, house: House, built: list[Built]) -> None:
        self.plan = plan
        self.house = house
        self.built = built
        self.sessions: dict[Session, asyncio.Task[None]] = {}
        self.servers: list[asyncio.Server] = []
        self.end = asyncio.Event()
        self.retiring = False
        self.idle = asyncio.Event()
        self.cut = asyncio.Event()

    async def main(self, ready: Callable[[], None]) -> None:
        plan, settings = self.plan, self.plan.settings
        plan.log.adopt()
        bridge(plan.log)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._loop_trouble)
        loop.add_signal_handler(signal.SIGTERM, self._stop, False)
        loop.add_signal_handler(signal.SIGUSR1, self._stop, True)
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        queue = SqliteQueue(str(plan.layout.queue), plan.number, settings.number("queue_minfree"), self._queue_ended)
        await queue.start(plan.living)
        agent = LocalAgent(str(plan.layout.local_socket))
        flushable = MatchList.from_settings(self.house.tables, settings, "fast_flush_domains", Kind.DOMAIN)
        self.history = history = History.of(settings, plan.layout.queue, prunes=plan.region == 0)
        history.start()
        intake = Intake(settings, queue, self.house.cleanup, plan.log, flushable, history)
        dispatcher = self._dispatcher(queue, agent, intake)
        intake.dispatcher = dispatcher
        logins = {id(b.authenticator): b.authenticator for b in self.built if b.authenticator is not None}
        for authenticator in logins.values():
            authenticator.reachability.tells = plan.region == 0
            authenticator.abuse.join(plan.login_board, plan.region)
            authenticator.say = lambda text: plan.log.line("sasl", text)
            await authenticator.start()
        watching = loop.create_task(_watch(tuple(logins.values())))
        await self._listen(intake)
        own = _pickup(plan)
        submit = Submit(settings, intake, queue, dispatcher, plan.layout, plan.owner, self.house.tables, own)
        self.servers.append(await submit.serve(plan.submit))
        dispatcher.begin()
        pickup = Pickup(plan.layout.maildrop, queue, submit.accept, settings.number("message_size_limit"))
        await pickup.look()
        picking = loop.create_task(pickup.run())
        ready()
        await self._sweep(queue)
        await self.end.wait()
        watching.cancel()
        picking.cancel()
        await self._finish(queue, dispatcher, agent, submit)

    def _dispatcher(self, queue: SqliteQueue, agent: LocalAgent, intake: Intake) -> Dispatcher:
        settings, house = self.plan.settings, self.house
        backoff = Backoff.of(settings)
        limits = {name: Limits.of(settings, name) for name in house.transports}
        spare = Limits.of(settings, "smtp")

        def limit(transport: str) -> Limits:
            return limits.get(transport, spare)

        destinations = Destinations(limit, backoff.minimal, backoff.maximal)
        share = Share(self.plan.delivery_board, self.plan.region)
        leaving = {
            name: Leaving(checks, house.program(name), self.plan.log.line) for name, checks in house.checks.items()
        }
        return Dispatcher(
            queue=queue,
            resolver=house.resolver,
            mailboxes=Mailboxes(
                settings,
                house.tables,
                house.aliases,
                house.finder,
                agent,
                SpecialClient(str(self.plan.layout.pipe_socket)),
            ),
            remote=Remote(house.agents, Slots(destinations, limit, share), limit, house.generic, leaving),
            settler=Settler(settings, queue.next_number, intake.reborn, self.plan.log.line, backoff),
            programs=house,
            log=self.plan.log,
            limit=settings.number("qmgr_message_active_limit"),
            history=intake.history,
            status=StatusFilter(settings, house.tables, self.plan.log.line),
            digits=settings.number("delay_logging_resolution_limit"),
            nobody=Nobody(settings).owns,
            ways_out=WaysOut(settings, house.tables, house.aliases, house.finder, house.resolver),
        )

    async def _listen(self, intake: Intake) -> None:
        loop = asyncio.get_running_loop()
        for built, sockets in zip(self.built, self.plan.sockets, strict=True):
            service = built.bind(intake, self.plan.board, self.plan.region, self.house.dns)
            for sock in sockets:
                no_delay(sock)
                # each worker its own descriptor: closing it when we retire leaves the port with the others
                own = sock.dup()
                server = await loop.create_server(self._factory(service, sock), sock=own, backlog=1024)
                self.servers.append(server)

    def _factory(self, service: SmtpdService, sock: socket.socket) -> Callable[[], Stream]:
        loop, ended = asyncio.get_running_loop(), self._ended
        local = bound(sock)

        def connected(stream: Stream) -> None:
            session = Session(service, stream, ended)
            self.sessions[session] = loop.create_task(session.run())

        return lambda: Stream(connected, local=local)

    def _ended(self, session: Session) -> None:
        self.sessions.pop(session, None)
        if self.retiring and not self.sessions:
            self.idle.set()

    async def _sweep(self, queue: SqliteQueue) -> None:
        """What the one whose place we take was writing when it died."""
        try:
            removed = await queue.sweep()
        except (QueueFull, QueueBroken, OSError) as error:
            self.plan.log.line("worker", f"warning: content files cannot be looked through: {error}")
            return
        if removed:
            self.plan.log.line("worker", f"{removed} content files without a message were removed")

    def _stop(self, retire: bool) -> None:
        self.retiring = retire and not self.end.is_set()
        if not retire:
            self.idle.set()
            self.cut.set()
        self.end.set()

    def _queue_ended(self) -> None:
        """Without its queue a worker can only refuse: the master starts another, which may be luckier."""
        self.plan.log.line("worker", "fatal: the queue cannot be used any more")
        self.plan.log.flush()
        os._exit(1)

    def _loop_trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.plan.log.line("worker", f"error: {context.get('message')}: {context.get('exception')!r}")

    async def _finish(self, queue: SqliteQueue, dispatcher: Dispatcher, agent: LocalAgent, submit: Submit) -> None:
        for server in self.servers:
            server.close()
        for sock in (*(one for some in self.plan.sockets for one in some), self.plan.submit):
            # inherited from the master: a port that it gives up must not stay open through us
            sock.close()
        # connections that were taken in this very moment become sessions first
        await asyncio.sleep(SETTLE_SECONDS)
        if self.retiring and self.sessions:
            try:
                await asyncio.wait_for(self.idle.wait(), RETIRE_SECONDS)
            except TimeoutError:
                pass
        for session in list(self.sessions):
            session.interrupt()
        if self.sessions:
            await asyncio.wait(list(self.sessions.values()), timeout=STOP_SECONDS)
        await submit.finish(DRAIN_SECONDS)
        if self.retiring:
            await dispatcher.retire(self.cut, RETIRE_SECONDS)
        await dispatcher.drain(DRAIN_SECONDS)
        cut = [*self.sessions.values()]
        for task in cut:
            task.cancel()
        agent.close()
        await asyncio.wait([*cut, asyncio.create_task(asyncio.sleep(SETTLE_SECONDS))], timeout=1.0)
        await queue.stop()
        self.history.stop()
        if self.house.verifier is not None:
            await self.house.verifier.close()
        for remote in self.house.agents.values():
            remote.close()
        for built in self.built:
            if built.authenticator is not None:
                built.authenticator.close()
        self.house.tables.close()
        self.plan.log.flush()
        if not queue.released:
            # the master's errand frees what a worker that ends with a failure held
            os._exit(1)


async def _watch(logins: tuple[Authenticator, ...]) -> None:
    """Look at the password back ends without waiting for a client, so that AUTH comes back by itself; say how many
    failures were not told one by one, though no other comes."""
    while logins:
        for authenticator in logins:
            authenticator.reachability.up()
            authenticator.abuse.summarise()
        await asyncio.sleep(WATCH_SECONDS)
