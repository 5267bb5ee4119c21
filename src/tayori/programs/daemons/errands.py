"""Errands of the master, each in a process of its own: what may fail, or must not cross a fork (SQLite), goes there.

The process is tied to the master, tells its result through a pipe and ends.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import traceback
from collections.abc import Callable

from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.daemons.compose import furnish, smtpd_services
from tayori.programs.daemons.layout import Layout, Owner, mail_owner
from tayori.programs.daemons.parent import tie
from tayori.queue.model import QueueBroken, QueueFull
from tayori.queue.store import Store
from tayori.tables.registry import index_folder

MOST = 4000
"""Bytes of what an errand may say."""


def rehearse(master: int, settings: Settings, services: tuple[Service, ...]) -> None:
    """Build everything once, so that a bad table or certificate is found before any worker depends on it, and the
    indexes of large tables are there when workers open them. Raises ConfigError."""

    def build(tied: Callable[[], None]) -> str:
        tied()
        logging.disable()  # what is worth saying, the real processes say
        owner = mail_owner(settings)
        if owner is not None:
            index_folder(settings, (owner.uid, owner.gid))
        smtpd_services(furnish(settings, services, verify=True))
        return ""

    status, said = _sent(master, build)
    if status != 0:
        raise ConfigError(said or f"the configuration cannot be used (status {status})")


def recover(master: int, layout: Layout, owner: Owner | None) -> tuple[int, int]:
    """Free what an earlier run held; (messages in the queue, content files removed). Raises ConfigError."""

    def free(tied: Callable[[], None]) -> str:
        if owner is not None:
            owner.become()
        tied()
        try:
            store = Store(layout.queue)
            count, orphans = store.recover()
            store.close()
        except (sqlite3.Error, OSError, QueueBroken, QueueFull) as error:
            raise ConfigError(f"{type(error).__name__}: {error}") from error
        return f"{count} {orphans}"

    status, said = _sent(master, free)
    if status != 0:
        raise ConfigError(f"the queue in {layout.queue} cannot be opened: {said}")
    waiting, _, removed = said.partition(" ")
    return int(waiting), int(removed)


def release(layout: Layout, owner: Owner | None, number: int, tied: Callable[[], None]) -> None:
    """Free what a killed worker held, and remove what it was writing; called in a child of the master already."""
    if owner is not None:
        owner.become()
        tied()
    store = Store(layout.queue)
    store.release_owner(number)
    store.sweep(path.name for path in store.content_folder.iterdir())
    store.close()


def _sent(master: int, work: Callable[[Callable[[], None]], str]) -> tuple[int, str]:
    """The errand's status, and what it said: `work`'s text, or what went wrong."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(write_end, work(tie(master)).encode())
            code = 0
        except ConfigError as error:
            os.write(write_end, str(error).encode("utf-8", "replace")[:MOST])
        except Exception:
            os.write(write_end, traceback.format_exc().encode("utf-8", "replace")[-MOST:])
        finally:
            os._exit(code)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    _, status = os.waitpid(pid, 0)
    return status, said
