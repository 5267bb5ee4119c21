"""What a log-in leaves behind: who, from where, by which mechanism, which back ends were asked and what they said.

Never the secret. Failed ones are also kept for `tayori explain-login`, in a file of bounded size.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE_NAME = "failed_logins"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Attempt:
    """One back end asked for `asked` (name and realm). `answer`: accepted, secret given, refused or try later."""

    source: str
    asked: str
    answer: str
    why: str = ""


@dataclass(slots=True)
class LoginRecord:
    """One AUTH. `quiet`: the failure is counted in a summary line instead of having its own. `held`: not asked, since
    so many failed before it."""

    mechanism: str
    address: str
    when: float
    username: str = ""
    ok: bool = False
    temporary: bool = False
    reason: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    quiet: bool = False
    delayed: float = 0.0
    held: bool = False

    @property
    def source(self) -> str:
        """The back end that decided."""
        for attempt in reversed(self.attempts):
            if not self.ok or attempt.answer in ("accepted", "secret given"):
                return attempt.source
        return ""

    def line(self) -> str:
        """For the log: `method=PLAIN user=taro client=192.0.2.1 backend=accounts:… result=refused (…)`."""
        result = "accepted" if self.ok else "try later" if self.temporary else "refused"
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"login method={self.mechanism} user={one_word(self.username) or '?'} client={self.address} "
            f"backend={self.source or '-'} result={result}{why}"
        )


class FailedLogins:
    """A file of JSON lines, appended by every worker, cut in half by starting anew (`.1` holds the older part)."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, record: LoginRecord) -> None:
        """Never raises: a log-in does not fail because its failure cannot be noted."""
        try:
            line = (json.dumps(asdict(record), ensure_ascii=True, separators=(",", ":")) + "\n").encode()
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line)
                full = os.fstat(handle).st_size > _MOST_BYTES
            finally:
                os.close(handle)
            if full:
                os.replace(self.path, f"{self.path}.1")
        except OSError:
            return

    def last(self, username: str) -> LoginRecord | None:
        """The newest failure of a name, with or without its realm."""
        wanted = username.casefold()
        for path in (self.path, Path(f"{self.path}.1")):
            try:
                lines = path.read_text("ascii").splitlines()
            except (OSError, ValueError):
                continue
            for line in reversed(lines):
                record = _record(line)
                if record is not None and wanted in (record.username.casefold(), bare(record.username).casefold()):
                    return record
        return None


def one_word(text: str) -> str:
    """A name that cannot pass for further words of the line."""
    if text.isprintable() and " " not in text:
        return text[:200]
    return "".join(c if c.isprintable() and c != " " else f"\\x{ord(c):02x}" for c in text)[:200]


def bare(username: str) -> str:
    """The name without its realm."""
    return username.rpartition("@")[0] or username


def _record(line: str) -> LoginRecord | None:
    try:
        values = json.loads(line)
        values["attempts"] = [Attempt(**attempt) for attempt in values["attempts"]]
        return LoginRecord(**values)
    except (ValueError, TypeError, KeyError):
        return None
