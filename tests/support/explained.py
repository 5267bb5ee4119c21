"""A scenario lived through and explained: what the history of a real server kept, beside what `explain` says.

    with LivedRuns(tmp_path) as runs:
        dialogue, delivered = runs.run(scenario)
        for live, said, going in runs.mails: ...       # three lists of lines for each mail

The server is stopped in peace, so that its history is whole. A second process, in the same namespace (passwd,
resolv.conf), reads the records, asks `explain` about each and prints both.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import msgspec

from support import scenario as sc
from support.forker import Forked
from support.scenario_run import TayoriRuns
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.explain.values import Explanation, Question
from tayori.programs.explain.walk import Explainer
from tayori.programs.history.record import Decision, Record
from tayori.programs.history.replay import question
from tayori.programs.history.store import FILE_NAME, Reader
from tayori.programs.language import ENGLISH

STOP_SECONDS = 20.0
Compared = tuple[list[str], list[str], list[str]]
"""Of one mail: what the server decided, what explain says, and where explain says that it goes."""
ENVELOPE = ("CONNECT", "EHLO", "HELO", "MAIL", "RCPT")
SOMEBODY = "nobody@example.com"
"""The recipient of a session that came to none."""


class LivedRuns(TayoriRuns):
    """Runs scenarios; `mails` is then, for each mail of the last one, what the server decided and what explain says.

    One explaining process serves them all.
    """

    more: ClassVar = {"tayori_history_headers": "65536"}

    def __enter__(self) -> LivedRuns:
        super().__enter__()
        self.mails: list[Compared] = []
        source, tests = Path(__file__).parents[2] / "src", Path(__file__).parents[1]
        self.explainer = subprocess.Popen(
            [*self.place.in_namespace(), sys.executable, "-m", "support.explained"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": f"{source}:{tests}"},
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self.explainer.stdin is not None
        self.explainer.stdin.close()
        self.explainer.wait(20)
        super().__exit__(kind, error, at)

    def _finish(self, scenario: sc.Scenario, server: Forked) -> None:
        _stop(server)
        history = self.place.root / "spool" / "tayori" / "queue" / FILE_NAME
        self.mails = self._explained(history, contents(scenario))

    def _explained(self, history: Path, bodies: Sequence[bytes]) -> list[Compared]:
        assert self.explainer.stdin is not None and self.explainer.stdout is not None
        order = {
            "etc": str(self.place.etc), "history": str(history), "dns": os.geteuid() == 0,
            "bodies": [base64.b64encode(body).decode() for body in bodies],
        }  # fmt: skip
        self.explainer.stdin.write(json.dumps(order) + "\n")
        self.explainer.stdin.flush()
        found = json.loads(self.explainer.stdout.readline())
        assert not isinstance(found, str), found
        return [(live, said, going) for live, said, going in found]


def _stop(server: Forked) -> None:
    """SIGTERM, and wait: the history is written when the worker ends."""
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(20)
        raise RuntimeError("tayori does not stop") from None


def contents(scenario: sc.Scenario) -> list[bytes]:
    """The messages of a dialogue, LF line ends, dots undone."""
    found: list[bytes] = []
    lines: list[bytes] = []
    inside = False
    for kind, text in scenario.steps:
        inside = inside or (kind == "S" and text.startswith("354"))
        if kind == ">" and text == ".":
            found.append(b"".join(line.removeprefix(b".") + b"\n" for line in lines))
            lines, inside = [], False
        elif kind == ">":
            lines.append(text.encode())
        elif kind == "C" and inside:
            # a line of content with bytes in it
            lines.append(text.encode().decode("unicode_escape").encode("latin-1"))
    return found


def essence(reply: str) -> str:
    """Code and enhanced code of a reply's last line; "2" for any yes."""
    last = reply.split("\n")[-1]
    if not last or last[0] == "2":
        return "2"
    words = last.split()
    return " ".join(words[:2]) if len(words) > 1 and re.fullmatch(r"\d\.\d+\.\d+", words[1]) else words[0][:3]


def line(decision: Decision) -> str:
    """What is compared of a decision: the command, the reply, what decided in which line, what it had looked up.

    The order of DNS answers and the words for a connection that failed are nobody's promise.
    """
    by = decision.by
    found = " ".join(sorted(re.sub(r"\[Errno \d+\][^;]*", "", by.found).split())) if by else ""
    rule = f"{by.parameter} {by.restriction} {by.argument} {by.place} {by.looked_up}: {found}" if by else "-"
    stage = "EHLO" if decision.stage == "HELO" else decision.stage
    return f"{stage} {decision.about} → {essence(decision.reply)} {decision.action} by {rule}"


def kept(record: Record) -> list[str]:
    """Of the history: each decision, then the end of the message. DATA without a recipient is nobody's question."""
    taken = any(one.stage == "RCPT" and one.good for one in record.decisions)
    stages = (*ENVELOPE, "DATA") if taken else ENVELOPE
    lines = [line(one) for one in record.decisions if one.stage in stages]
    return [*lines, f"end → {essence(record.reply)}"] if record.reply else lines


def within(said: list[str], live: list[str]) -> list[str]:
    """Of what was told only as much as the client of then came to: it may have left before DATA, or before RCPT."""
    reached = [one.split()[0] for one in live]
    if "RCPT" not in reached:
        said = [one for one in said if not one.startswith(f"RCPT {SOMEBODY}")]
    if "end" not in reached and "DATA" not in reached:
        said = [one for one in said if one.split()[0] not in ("DATA", "end")]
    return said


def told(found: Explanation) -> list[str]:
    """Of an explanation, in the same words."""
    lines = [line(one.decision) for one in found.judged if one.decision.stage in (*ENVELOPE, "DATA")]
    end = next((one.reply for one in found.session if one.command == "(message)"), "")
    return [*lines, f"end → {essence(end)}"] if end else lines


def ask(record: Record, body: bytes, dns: bool) -> Question:
    """The question that a record makes; a session without a recipient gets one."""
    found = question(record)
    if found is None:
        patched = msgspec.structs.replace(
            record,
            sender=record.sender or next((one.about for one in record.decisions if one.stage == "MAIL"), ""),
            decisions=record.decisions if record.recipients else (*record.decisions, Decision("RCPT", SOMEBODY, "")),
        )
        found = question(patched)
    assert found is not None
    return msgspec.structs.replace(found, content=body or record.head, dns=dns)


def ends(record: Record, found: Explanation) -> list[str]:
    """Where an accepted mail goes: `sent <address>`, `bounced <address>`; `? <address>` where another host decides."""
    kept_back = any(": hold: " in one or ": discard: " in one for one in found.log)
    if not record.accepted or not record.reply or not found.accepted or kept_back:
        return []
    if found.content is not None and (found.content.hold or found.content.discard):
        return []
    words = {"delivered": "sent", "discarded": "sent"}
    out = []
    for route in found.routes:
        if not route.targets:
            out.append(f"? <{route.address}>")
        out += [
            f"{words.get(one.status, one.status)} <{one.address}>"
            for one in route.targets
            if one.status not in ("forwarded", "read")
        ]
    return out


async def compared(etc: str, history: str, bodies: list[bytes], dns: bool) -> list[Compared]:
    """Both sides of every record of one server, and where its mail goes."""
    reader = Reader(Path(history))
    records = [record for record in reader.each(0) if record.kind == "smtp" and record.decisions]
    reader.close()
    explainer = Explainer(Settings.read(etc, probe()))
    left = list(bodies)
    out: list[Compared] = []
    try:
        for record in records:
            body = left.pop(0) if record.reply and left else b""
            asked = ask(record, body, dns)
            service = explainer.service("", record.server_port).service.name
            found = await explainer.explain(msgspec.structs.replace(asked, service=service), ENGLISH)
            live = kept(record)
            out.append((live, within(told(found), live), ends(record, found)))
    finally:
        explainer.close()
    return out


def main() -> None:
    """Orders in, answers out, one a line."""
    for text in sys.stdin:
        order = json.loads(text)
        bodies = [base64.b64decode(one) for one in order["bodies"]]
        try:
            found: object = asyncio.run(compared(order["etc"], order["history"], bodies, order["dns"]))
        except Exception:  # one scenario must not end the process that all of them share
            found = traceback.format_exc()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
