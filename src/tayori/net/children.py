"""Children: processes for a library that may hang with the interpreter's lock in its hand (bonsai's calls do).

A thread of such a library would stop the whole worker, for as long as the other side likes. A child is forked when
it is needed, answers one question after the other (JSON over a socket pair), and is killed when its answer does not
come; so nothing of the library must have been used before, only imported. It ends with its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import struct
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

_SIZE = struct.Struct("!I")
_PR_SET_PDEATHSIG = 1


class Children:
    """As many processes as questions are asked at once: the caller bounds that. `answer` is called in them; of its
    exceptions `trouble` comes back to who asked, with its text."""

    def __init__(self, answer: Callable[..., Any], trouble: type[Exception]) -> None:
        self._answer = answer
        self._trouble = trouble
        self._free: list[_Child] = []
        self._killed: list[int] = []

    async def ask(self, *question: str) -> Any:
        """What `answer(*question)` gave, by way of JSON; cancelled, it kills the child. Raises OSError, and
        `trouble`, also when the child dies."""
        self._reap()
        child = self._free.pop() if self._free else _Child(self._answer, self._trouble)
        try:
            trouble, result = await child.ask(question)
        except BaseException:
            self._kill(child)
            raise
        self._free.append(child)
        if trouble:
            raise self._trouble(trouble)
        return result

    def close(self) -> None:
        """End them all."""
        while self._free:
            self._kill(self._free.pop())

    def _kill(self, child: _Child) -> None:
        child.sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        self._killed.append(child.pid)
        self._reap()

    def _reap(self) -> None:
        left = []
        for pid in self._killed:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    left.append(pid)
        self._killed = left


class _Child:
    def __init__(self, answer: Callable[..., Any], trouble: type[Exception]) -> None:
        self._trouble = trouble
        self.sock, theirs = socket.socketpair()
        parent = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: see the head of this file
            self.pid = os.fork()
        if self.pid == 0:
            _live(theirs, answer, trouble, parent)
        theirs.close()
        self.sock.setblocking(False)

    async def ask(self, question: tuple[str, ...]) -> tuple[str, Any]:
        loop = asyncio.get_running_loop()
        data = json.dumps(question).encode()
        await loop.sock_sendall(self.sock, _SIZE.pack(len(data)) + data)
        size = _SIZE.unpack(await self._read(_SIZE.size))[0]
        trouble, result = json.loads(await self._read(size))
        return trouble, result

    async def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await asyncio.get_running_loop().sock_recv(self.sock, size - len(data))
            if not piece:
                raise self._trouble("the process that asks died")
            data += piece
        return data


def _live(sock: socket.socket, answer: Callable[..., Any], trouble: type[Exception], parent: int) -> NoReturn:
    """The child's whole life."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        os.closerange(3, sock.fileno())
        os.closerange(sock.fileno() + 1, most)
        if os.getppid() == parent:
            _serve(sock, answer, trouble)
    finally:
        os._exit(0)


def _serve(sock: socket.socket, answer: Callable[..., Any], trouble: type[Exception]) -> None:
    while True:
        size = _SIZE.unpack(sock.recv(_SIZE.size, socket.MSG_WAITALL))[0]
        question = json.loads(sock.recv(size, socket.MSG_WAITALL))
        try:
            said = ("", answer(*question))
        except trouble as error:
            said = (str(error) or "trouble", None)
        data = json.dumps(said).encode()
        sock.sendall(_SIZE.pack(len(data)) + data)
