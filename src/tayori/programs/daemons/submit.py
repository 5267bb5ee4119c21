"""The submit socket: sendmail, mailq and the queue tools talk to a worker here (sendmail(1), postqueue(1)).

Frames of programs.ipc. The caller is known by SO_PEERCRED: anybody may submit (authorized_submit_users) and list
(authorized_mailq_users) as configured; deleting, holding and reading mail are for root and the mail owner.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from tayori.config.settings import Settings
from tayori.net.listen import BACKLOG
from tayori.net.stream import Stream
from tayori.programs import ipc
from tayori.programs.daemons.dispatch.dispatcher import Dispatcher
from tayori.programs.daemons.handed_in import Long, from_stream
from tayori.programs.daemons.intake import Intake
from tayori.programs.daemons.layout import Layout, Owner
from tayori.programs.daemons.smtpd.options import overrides
from tayori.protocol.address import quote
from tayori.protocol.received import rfc5322_date
from tayori.protocol.reply import Reply
from tayori.queue.content import Content, Unreadable
from tayori.queue.engine import SqliteQueue
from tayori.queue.model import Attributes, Message, QueueBroken, QueueFull, Stored
from tayori.queue.store import Store
from tayori.queue.threads import read
from tayori.rewrite.cleanup import Incoming
from tayori.rewrite.results import Rewritten
from tayori.tables.matchlist import Kind, Match, MatchList
from tayori.tables.registry import Tables

_log = logging.getLogger("tayori.pickup")
IDLE_SECONDS = 60.0
Answer = dict[str, object]


class NotAllowed(Exception):
    """The caller may not do that."""


class Submit:
    """Serves one worker's share of the socket."""

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        queue: SqliteQueue,
        dispatcher: Dispatcher,
        layout: Layout,
        owner: Owner | None,
        tables: Tables,
        pickup: Settings | None = None,
    ) -> None:
        """`pickup`: the settings as master.cf's pickup service sees them. Raises ConfigError."""
        pickup = pickup or settings
        self._intake = intake
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[Stream] = set()
        self._queue = queue
        self._dispatcher = dispatcher
        self._layout = layout
        self._hostname = settings.text("myhostname")
        self._mail_name = settings.text("mail_name")
        self._filter = pickup.text("content_filter")
        self._cleanup = pickup.text("cleanup_service_name")
        self._size_limit = settings.number("message_size_limit")
        self._powerful = {0, os.geteuid()} | ({owner.uid} if owner else set())
        self._overrides = overrides(pickup)
        self._rights = {
            name: MatchList.from_settings(tables, settings, name, Kind.STRING)
            for name in ("authorized_submit_users", "authorized_mailq_users", "authorized_flush_users")
        }
        self._ops: dict[str, Callable[[Answer, int], Awaitable[Answer]]] = {
            "queue": self._list,
            "flush": self._flush,
            "delete": self._delete,
            "hold": self._hold,
            "release": self._release,
            "requeue": self._requeue,
            "content": self._content,
            "count": self._count,
            "status": self._status,
        }

    async def serve(self, listener: socket.socket) -> asyncio.Server:
        """Accept on the socket that the master opened."""
        loop = asyncio.get_running_loop()

        def connected(stream: Stream) -> None:
            task = loop.create_task(self._talk(stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return await loop.create_unix_server(
            lambda: Stream(connected, IDLE_SECONDS), sock=listener.dup(), backlog=BACKLOG
        )

    async def finish(self, seconds: float) -> None:
        """Let requests that have begun come to their answers; end the rest."""
        end = time.monotonic() + seconds
        while self._busy and time.monotonic() < end:
            await asyncio.sleep(0.02)
        for task in list(self._tasks):
            task.cancel()

    async def _talk(self, stream: Stream) -> None:
        frames = ipc.Frames(self._size_limit + 65536 if self._size_limit else ipc.LIMIT)
        try:
            uid = stream.peer_uid()
            waiting: list[bytes] = []
            while True:
                while not waiting:
                    chunk = await stream.read()
                    if not chunk:
                        return
                    self._busy.add(stream)
                    waiting.extend(frames.feed(chunk))
                request = ipc.as_dict(waiting.pop(0))
                if request.get("op") == "submit":
                    sent = waiting.pop(0) if waiting else await from_stream(stream, frames)
                    if sent is None:
                        return
                    answer = await self._submit(request, sent, uid)
                    if isinstance(sent, Long):
                        await sent.skip()
                    waiting.extend(frames.feed(b""))
                else:
                    answer = await self._other(request, uid)
                content = answer.pop("content", None)
                stream.write(ipc.pack(ipc.encode(answer)))
                await stream.drain()
                if isinstance(content, bytes | Stored):
                    await _send(stream, content)
                self._busy.discard(stream)
        except (ipc.BadFrame, ConnectionError, TimeoutError, Unreadable) as error:
            _log.info("submit socket: %s", error or type(error).__name__)
        finally:
            self._busy.discard(stream)
            stream.close()

    async def _other(self, request: Answer, uid: int) -> Answer:
        handler = self._ops.get(str(request.get("op")))
        if handler is None:
            return {"ok": False, "error": "unknown request", "temporary": False}
        try:
            return await handler(request, uid)
        except NotAllowed as error:
            return {"ok": False, "error": str(error), "temporary": False, "code": 77}
        except (QueueFull, QueueBroken, KeyError) as error:
            return {"ok": False, "error": str(error), "temporary": True}

    async def _allow(self, parameter: str, uid: int) -> None:
        """authorized_*_users: user names and tables of them; root and the mail owner always may."""
        if uid in self._powerful:
            return
        if not isinstance(await self._rights[parameter].match(user_name(uid)), Match):
            raise NotAllowed(f"user {user_name(uid)} is not in {parameter}")

    def _powerful_only(self, uid: int) -> None:
        if uid not in self._powerful:
            raise NotAllowed("only root and the mail owner may do that")

    async def _submit(self, request: Answer, content: bytes | Long, uid: int) -> Answer:
        try:
            await self._allow("authorized_submit_users", uid)
            reply = await self.accept(request, content, uid, time.time())
        except NotAllowed as error:
            return {"ok": False, "id": "", "error": str(error), "code": 77, "temporary": False}
        except QueueBroken as error:
            return {"ok": False, "id": "", "error": str(error), "code": 75, "temporary": True}
        return reply

    async def accept(self, request: Answer, content: bytes | Long, uid: int, now: float, drop: str = "") -> Answer:
        """Keep one locally submitted message (pickup(8)); `drop` names its maildrop file. Raises QueueBroken."""
        sender = {"<>": "", "": user_name(uid)}.get(str(request.get("sender", "")), str(request.get("sender", "")))
        listed = request.get("recipients")
        recipients = [str(r) for r in listed] if isinstance(listed, list) else []
        if not recipients:
            return {"ok": False, "id": "", "error": "No recipient addresses found", "code": 65, "temporary": False}
        if self._size_limit and len(content) > self._size_limit:
            return {"ok": False, "id": "", "error": "Message file too big", "code": 65, "temporary": False}
        number = self._queue.next_number()
        queue_id = f"{number:X}"
        self._intake.log.line("pickup", f"{queue_id}: uid={uid} from=<{quote(sender)}>")
        date = rfc5322_date(datetime.fromtimestamp(int(now)).astimezone())
        trace = (
            f"Received: by {self._hostname} ({self._mail_name}, from userid {uid})\n\tid {queue_id}; {date}\n"
        ).encode()
        notify = str(request.get("notify", ""))
        incoming = Incoming(
            sender=sender,
            recipients=tuple(Rewritten(r, r, notify) for r in recipients),
            content=_ended(content) if isinstance(content, bytes) else b"",
            trace=trace,
            remote=False,
            now=now,
            queue_id=queue_id,
            full_name=str(request.get("full_name", "")),
            overrides=self._overrides,
            service=self._cleanup,
        )
        attributes = Attributes(
            rewrite_context="local",
            drop=drop,
            uid=uid,
            body=str(request.get("body", "")),
            smtputf8=request.get("smtputf8") is True,
            ret=str(request.get("ret", "")),
            envid=str(request.get("envid", "")),
            filter=self._filter,
        )
        if isinstance(content, bytes):
            reply = await self._intake.keep(number, incoming, attributes, now)
        else:
            reply = await self._keep_long(number, content, incoming, attributes)
        ok = reply.code < 400
        return {
            "ok": ok,
            "id": queue_id if ok else "",
            "error": "" if ok else str(reply),
            "code": 0 if ok else 75 if reply.temporary else 65,
            "temporary": reply.temporary,
        }

    async def _keep_long(self, number: int, content: Long, incoming: Incoming, attributes: Attributes) -> Reply:
        spool = self._intake.spool(number)
        try:
            await content.into(spool)
            return await self._intake.keep_spool(spool, number, incoming, attributes, incoming.now)
        except (QueueFull, QueueBroken) as error:
            return self._intake.not_kept(number, error)
        finally:
            spool.end()

    async def _list(self, request: Answer, uid: int) -> Answer:
        await self._allow("authorized_mailq_users", uid)
        after, limit = _integer(request, "after", 0), min(_integer(request, "limit", 100), 1000)
        page = await self._queue.call(lambda store: store.page(after, limit + 1))
        return {
            "ok": True,
            "messages": [_shown(message, active) for message, active in page[:limit]],
            "more": len(page) > limit,
        }

    async def _flush(self, request: Answer, uid: int) -> Answer:
        await self._allow("authorized_flush_users", uid)
        number = _number(request) if request.get("id") else None
        site = str(request.get("site", ""))
        changed = await self._queue.call(lambda store: store.make_due(time.time(), number, site))
        self._dispatcher.wake()
        return {"ok": True, "count": changed}

    async def _each(self, request: Answer, uid: int, act: Callable[[int], Awaitable[bool]]) -> Answer:
        """Do something with each id of `ids` (or the one `id`); which were done."""
        self._powerful_only(uid)
        listed = request.get("ids")
        ids = [str(i) for i in listed] if isinstance(listed, list) else [str(request.get("id", ""))]
        done = [i for i in ids if await act(_number({"id": i}))]
        return {"ok": True, "done": done, "count": len(done)}

    async def _delete(self, request: Answer, uid: int) -> Answer:
        async def act(number: int) -> bool:
            gone = await self._queue.call(lambda store: store.delete(number))
            if gone:
                self._intake.log.line("postsuper", f"{number:X}: removed")
            return gone

        return await self._each(request, uid, act)

    async def _hold(self, request: Answer, uid: int) -> Answer:
        async def act(number: int) -> bool:
            return await self._queue.call(lambda store: store.set_hold(number, True))

        return await self._each(request, uid, act)

    async def _release(self, request: Answer, uid: int) -> Answer:
        async def act(number: int) -> bool:
            return await self._queue.call(lambda store: store.set_hold(number, False))

        answer = await self._each(request, uid, act)
        self._dispatcher.wake()
        return answer

    async def _requeue(self, request: Answer, uid: int) -> Answer:
        """postsuper -r: addresses are resolved anew at each attempt here, so an attempt now is all it takes."""

        async def act(number: int) -> bool:
            def due(store: Store) -> bool:
                store.make_due(time.time(), number)
                return store.has_row(number)

            return await self._queue.call(due)

        answer = await self._each(request, uid, act)
        self._dispatcher.wake()
        return answer

    async def _content(self, request: Answer, uid: int) -> Answer:
        """The answer to postcat; frames of content follow it, an empty one at the end."""
        self._powerful_only(uid)
        number = _number(request)
        message = await self._queue.call(lambda store: store.get(number))
        if message is None:
            return {"ok": False, "error": "not in the queue"}
        content = await self._queue.content(number)
        return {"ok": True, "content": content, "message": _shown(message, False)}

    async def _count(self, request: Answer, uid: int) -> Answer:
        await self._allow("authorized_mailq_users", uid)
        return {"ok": True, "count": await self._queue.call(lambda store: store.count())}

    async def _status(self, request: Answer, uid: int) -> Answer:
        count = await self._queue.call(lambda store: store.count())
        return {"ok": True, "queued": count, "active": self._dispatcher.active, "pid": os.getpid()}


def _ended(content: bytes) -> bytes:
    return content if content.endswith(b"\n") or not content else content + b"\n"


async def _send(stream: Stream, content: Content) -> None:
    """Frames of content, an empty one at the end. Raises ConnectionError, TimeoutError, Unreadable."""
    async for piece in read(content):
        stream.write(ipc.pack(piece))
        await stream.drain()
    stream.write(ipc.pack(b""))
    await stream.drain()


def _integer(request: Answer, name: str, default: int) -> int:
    value = request.get(name, default)
    return value if isinstance(value, int) else default


def _number(request: Answer) -> int:
    """The queue number of a request's `id`. Raises KeyError for what is no id."""
    try:
        return int(str(request.get("id", "")), 16)
    except ValueError:
        raise KeyError("not a queue id") from None


def _shown(message: Message, active: bool) -> Answer:
    return {
        "id": message.id,
        "number": message.number,
        "arrival": message.arrival,
        "size": message.size,
        "sender": message.sender,
        "hold": message.hold,
        "active": active,
        "recipients": [{"address": r.address, "reason": r.reason, "due": r.due} for r in message.recipients],
    }


def user_name(uid: int) -> str:
    """Login name of a user number, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
