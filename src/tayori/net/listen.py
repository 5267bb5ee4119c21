"""Listening sockets for master.cf's inet services, and who holds a port that is taken."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings

BACKLOG = 1024


def addresses_for(settings: Settings, host: str) -> list[tuple[socket.AddressFamily, str]]:
    """Where to listen: the service's own host, or inet_interfaces, within inet_protocols. Raises ConfigError."""
    protocols = settings.items("inet_protocols")
    v4 = "all" in protocols or "ipv4" in protocols
    v6 = ("all" in protocols or "ipv6" in protocols) and socket.has_ipv6 and settings.system.ipv6
    names = (host,) if host else settings.items("inet_interfaces")
    found: list[tuple[socket.AddressFamily, str]] = []
    for name in names:
        if name == "all":
            found += [(socket.AF_INET, "0.0.0.0")] * v4 + [(socket.AF_INET6, "::")] * v6
        elif name == "loopback-only":
            found += [(socket.AF_INET, "127.0.0.1")] * v4 + [(socket.AF_INET6, "::1")] * v6
        else:
            try:
                infos = socket.getaddrinfo(name.strip("[]"), 0, type=socket.SOCK_STREAM)
            except OSError as error:
                raise ConfigError(
                    f"{name!r} is no address of this machine: {error.strerror}",
                    settings.origin("inet_interfaces"),
                    "name an address or host of this machine, all, or loopback-only",
                ) from error
            found += [(info[0], str(info[4][0])) for info in infos if v4 or info[0] == socket.AF_INET6]
    return list(dict.fromkeys(found))


def port_number(service: str, origin: Origin | None) -> int:
    """A port by number or by its name in /etc/services (with the mail names built in). Raises ConfigError."""
    if service.isdigit() and 0 < int(service) < 65536:
        return int(service)
    known = {"smtp": 25, "submission": 587, "smtps": 465, "submissions": 465, "lmtp": 24}
    if service in known:
        return known[service]
    try:
        return socket.getservbyname(service, "tcp")
    except OSError as error:
        raise ConfigError(
            f'"{service}" is no port', origin, "write a port number or a name of /etc/services"
        ) from error


def listen(family: socket.AddressFamily, host: str, port: int, origin: Origin | None) -> socket.socket:
    """One listening socket. Raises ConfigError that names who holds the port when it is taken."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(*_why_not(error, host, port, origin)) from error
    sock.setblocking(False)
    return sock


def _why_not(error: OSError, host: str, port: int, origin: Origin | None) -> tuple[str, Origin | None, str]:
    if error.errno == errno.EADDRINUSE:
        holder = port_holder(port)
        if holder is None:
            return f"port {port} on {host} is taken by another program", origin, "stop it, or choose another port"
        pid, name = holder
        return f"port {port} on {host} is taken by {name} (process {pid})", origin, how_to_stop(name, pid)
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} needs root", origin, "start as root, or choose a port above 1023 in master.cf"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine", origin, "mend inet_interfaces or the line in master.cf"
    return f"cannot listen on {host} port {port}: {error.strerror}", origin, ""


def port_holder(port: int) -> tuple[int, str] | None:
    """(process id, program) that listens on a TCP port, by /proc; None when it cannot be seen."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    holders = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(_target(fd) in inodes for fd in (process / "fd").iterdir()):
                holders.append((int(process.name), (process / "comm").read_text().strip()))
        except OSError:
            continue
    return min(holders) if holders else None


def _target(fd: Path) -> str:
    """What a descriptor of /proc is; "" for one that was closed meanwhile (that of the listing is, always)."""
    try:
        return os.readlink(fd)
    except OSError:
        return ""


def how_to_stop(name: str, pid: int) -> str:
    """A command that stops a well-known mail program, else the plain kill."""
    services = {
        "master": "postfix stop (or: systemctl disable --now postfix)",
        "exim4": "systemctl disable --now exim4",
        "sendmail-mta": "systemctl disable --now sendmail",
        "smtpd": "systemctl disable --now opensmtpd",
        "tayori": "tayori stop -c DIR",
    }
    return f"stop it with: {services.get(name, f'kill {pid}')}"
