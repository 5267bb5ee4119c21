"""Whose rights a delivery uses: the recipient's, by effective ids, in a single-threaded root process.

As in local(8): the user's uid and own group, no supplementary groups. A process that is not root (or that serves
one user only) changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class Rights:
    """Changes effective ids and knows the present ones, so that nothing is done twice."""

    def __init__(self, single_user: bool) -> None:
        self.fixed = single_user or os.geteuid() != 0
        self._uid = os.geteuid()
        self._gid = os.getegid()
        self._own_groups = [] if self.fixed else os.getgroups()
        self._own_gid = self._gid

    def become(self, uid: int, gid: int) -> None:
        """Act as uid:gid. Raises OSError; then the process is root again or, at worst, dead on the next call."""
        if self.fixed or (uid == self._uid and gid == self._gid):
            return
        if self._uid != 0:
            os.seteuid(0)
            self._uid = 0
        os.setgroups((gid,))
        os.setegid(gid)
        self._gid = gid
        if uid != 0:
            os.seteuid(uid)
            self._uid = uid

    def root(self) -> None:
        """Back to the process's own rights."""
        if self.fixed or (self._uid == 0 and self._gid == self._own_gid):
            return
        if self._uid != 0:
            os.seteuid(0)
            self._uid = 0
        os.setegid(self._own_gid)
        os.setgroups(self._own_groups)
        self._gid = self._own_gid

    @contextmanager
    def of(self, uid: int, gid: int) -> Iterator[None]:
        """Act as uid:gid for a while, then as before."""
        before = (self._uid, self._gid)
        self.become(uid, gid)
        try:
            yield
        finally:
            self.become(*before)
