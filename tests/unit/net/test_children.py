from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tayori.net.children import Children
from tayori.sasl.verifiers.base import TryLater
from tayori.sasl.verifiers.guard import Guard, Trouble


def answer(what: str, text: str = "") -> object:
    if what == "sleep":
        time.sleep(30)
    if what == "trouble":
        raise Trouble(text)
    if what == "die":
        os._exit(3)
    return [os.getpid(), text]


def test_one_child_answers_again_and_again_and_nothing_is_lost_on_the_way() -> None:
    async def scenario() -> None:
        children = Children(answer, Trouble)
        for text in ("ä\udc80\0", "x" * 300_000, ""):
            pid, said = await children.ask("say", text)
            assert said == text and pid != os.getpid()
        with pytest.raises(Trouble, match="no server"):
            await children.ask("trouble", "no server")
        assert (await children.ask("say"))[0] == pid, "trouble of the other side does not end it"
        both = await asyncio.gather(children.ask("say", "a"), children.ask("say", "b"))
        assert [said for _, said in both] == ["a", "b"]
        children.close()
        with pytest.raises(ProcessLookupError):
            for _ in range(100):
                os.kill(pid, 0)
                children._reap()
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_one_that_hangs_is_killed_and_one_that_dies_is_replaced() -> None:
    async def scenario() -> None:
        children = Children(answer, Trouble)
        guard = Guard("g", at_once=2, seconds=0.3, failures=100)
        before = time.monotonic()
        answers = await asyncio.gather(*(guard.run(lambda: children.ask("sleep")) for _ in range(2)))
        assert all(isinstance(answer, TryLater) for answer in answers) and time.monotonic() - before < 2
        died = await guard.run(lambda: children.ask("die"))
        assert isinstance(died, TryLater) and "died" in died.why
        found = await guard.run(lambda: children.ask("say", "x"))
        assert not isinstance(found, TryLater) and found[1] == "x"
        children.close()

    asyncio.run(scenario())


SCRIPT = """
import asyncio, os, time
from tayori.net.children import Children

def answer(what):
    return os.getpid() if what == "who" else time.sleep(60)

async def main():
    children = Children(answer, OSError)
    print(await children.ask("who"), flush=True)
    asyncio.get_running_loop().create_task(children.ask("sleep"))
    await asyncio.sleep(0.2)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_it_ends_with_its_parent() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30)
    pid = int(run.stdout)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)
