"""The tie between a child and its master: when the master is killed, the child ends too (prctl(2) PR_SET_PDEATHSIG).

Linux drops the tie at every change of effective ids (commit_creds), so it must be made again after each of them; a
child that finds another parent was too late to be told and ends at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def tie(master: int) -> Callable[[], None]:
    """A function that ties the calling process to `master` (its process number), as often as it is called."""

    def again() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != master:
            os._exit(1)

    return again
