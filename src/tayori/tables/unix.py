"""unix: the machine's users and groups, `unix:passwd.byname` and `unix:group.byname` (DATABASE_README).

The value is the entry as in passwd(5) or group(5), passwords shown as the system shows them ("x"). With
`tayori_passwd_file` another file in passwd(5) form stands for the user database (`make run`, tests).
A name service that fails answers TempFail; a name service that does not know the name, NotFound.
"""

from __future__ import annotations

import asyncio
import grp
import pwd
from collections.abc import Callable

from tayori.tables.lines import fold
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.spec import Spec
from tayori.tables.watched import Loaded, Watched

SYSTEM_PASSWD = "/etc/passwd"  # noqa: S105  a path, not a password
KEEP_SECONDS = 5.0
MAX_KEPT = 4096


def passwd_entry(name: str) -> str | None:
    """`name:x:uid:gid:gecos:home:shell`, or None. Raises OSError when the name service fails."""
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None
    return ":".join(map(str, found))


def group_entry(name: str) -> str | None:
    """`name:x:gid:member,member`, or None. Raises OSError when the name service fails."""
    try:
        found = grp.getgrnam(name)
    except (KeyError, ValueError):
        return None
    return f"{found.gr_name}:{found.gr_passwd}:{found.gr_gid}:{','.join(found.gr_mem)}"


MAPS: dict[str, Callable[[str], str | None]] = {
    "passwd.byname": passwd_entry,
    "group.byname": group_entry,
}


def _read_passwd(path: str) -> Loaded[dict[str, str]]:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = (line.rstrip("\n") for line in file)
        return Loaded({line.partition(":")[0]: line for line in lines if line.count(":") == 6})


class UnixTable:
    """unix:passwd.byname or unix:group.byname; answers are kept for KEEP_SECONDS."""

    partial = True

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        if spec.rest not in MAPS:
            raise spec.bad("there is no such system table", f"write one of {', '.join(MAPS)}")
        self._ask = MAPS[spec.rest]
        self._clock = spec.clock
        self._kept: dict[str, tuple[float, Outcome]] = {}
        other = spec.settings.text("tayori_passwd_file") if spec.rest == "passwd.byname" else ""
        self._file: Watched[dict[str, str]] | None = None
        if other and other != SYSTEM_PASSWD:
            self._file = Watched(other, _read_passwd, spec.clock)

    async def lookup(self, key: str) -> Outcome:
        """Ask for a user or group by its folded name."""
        key = fold(key)
        if self._file is not None:
            users = self._file.current()
            if users is None:
                return TempFail(f"{self.name}: {self._file.why}")
            entry = users.get(key)
            return NOT_FOUND if entry is None else Found(entry)
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and now < kept[0]:
            return kept[1]
        answer: Outcome
        try:
            entry = await asyncio.get_running_loop().run_in_executor(None, self._ask, key)
            answer = NOT_FOUND if entry is None else Found(entry)
        except OSError as error:
            return TempFail(f"{self.name}: {error.strerror or error}")
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[key] = now + KEEP_SECONDS, answer
        return answer

    def close(self) -> None:
        """Nothing to release."""
