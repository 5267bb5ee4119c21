"""The master's listening sockets: opened once, kept across reloads, closed when no service wants them any more."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.listen import addresses_for, listen
from tayori.net.unixpath import short
from tayori.programs.daemons.layout import Owner

Address = tuple[int, str, int]


class Ports:
    """Open sockets by (family, address, port)."""

    def __init__(self) -> None:
        self.sockets: dict[Address, socket.socket] = {}

    def open(
        self, settings: Settings, services: tuple[Service, ...]
    ) -> tuple[tuple[Service, tuple[socket.socket, ...]], ...]:
        """Sockets for every smtpd service; those already open are used again. Raises ConfigError."""
        opened: list[Address] = []
        plan: list[tuple[Service, tuple[socket.socket, ...]]] = []
        kept: set[Address] = set()
        try:
            for service in services:
                if service.kind != "inet" or service.command != "smtpd":
                    continue
                host, port = service.host_port()
                found: list[socket.socket] = []
                for family, address in addresses_for(settings.with_overrides(service.overrides), host):
                    key = int(family), address, port
                    if key not in self.sockets:
                        self.sockets[key] = listen(family, address, port, service.origin)
                        opened.append(key)
                    kept.add(key)
                    found.append(self.sockets[key])
                plan.append((service, tuple(found)))
            if not plan:
                raise ConfigError("master.cf has no smtpd service on a port", None, "add: smtp inet n - n - - smtpd")
        except ConfigError:
            for key in opened:
                self.sockets.pop(key).close()
            raise
        for key in set(self.sockets) - kept:
            self.sockets.pop(key).close()
        return tuple(plan)

    def close(self) -> None:
        """Give all of them up, in this process."""
        for sock in self.sockets.values():
            sock.close()
        self.sockets.clear()


def unix_listener(path: Path, mode: int, owner: Owner | None, settings: Settings) -> socket.socket:
    """A listening Unix socket that belongs to the mail owner. Raises ConfigError."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short(str(path)) as name:
            sock.bind(name)
    except OSError as error:
        raise ConfigError(
            f"cannot make the socket {path}: {error}",
            settings.origin("queue_directory"),
            "check the folder and its mode",
        ) from error
    os.chmod(path, mode)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)
    sock.listen(1024)
    sock.setblocking(False)
    return sock
