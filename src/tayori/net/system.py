"""Facts of this machine: its name, its addresses (rtnetlink(7) RTM_GETADDR), who runs us."""

from __future__ import annotations

import os
import pwd
import socket
import struct

from tayori.config.system import System

_RTM_GETADDR = 22
_NLM_F_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


def own_addresses() -> tuple[str, ...]:
    """Every own address as `address/prefixlen`; loopback alone when the kernel will not say."""
    found: list[str] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
            netlink.settimeout(2)
            netlink.send(struct.pack("=IHHIIB3x", 20, _RTM_GETADDR, _NLM_F_REQUEST_DUMP, 1, 0, 0))
            while _parse(netlink.recv(65536), found):
                pass
    except OSError:
        return ("127.0.0.1/8",)
    return tuple(found) or ("127.0.0.1/8",)


def _parse(data: bytes, found: list[str]) -> bool:
    """Add the addresses of one netlink datagram; False at the end of the dump."""
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind in (2, 3) or length < 16:
            return False
        family, prefix = struct.unpack_from("=BB", data, at + 16)
        best = b""
        attribute = at + 24
        while attribute + 4 <= at + length:
            size, name = struct.unpack_from("=HH", data, attribute)
            if size < 4:
                break
            value = data[attribute + 4 : attribute + size]
            if name == _IFA_LOCAL or (name == _IFA_ADDRESS and not best):
                best = value
            attribute += (size + 3) & ~3
        if best:
            found.append(f"{socket.inet_ntop(family, best)}/{prefix}")
        at += (length + 3) & ~3
    return True


def resolve(name: str) -> tuple[str, ...]:
    """The addresses of a host name, by the system's own resolver (it blocks); none when it has none."""
    try:
        infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in infos))


def probe() -> System:
    """Look at the machine now."""
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    addresses = own_addresses()
    return System(
        hostname=socket.gethostname() or "localhost",
        interfaces=addresses,
        ipv6=any(":" in address for address in addresses),
        user=user,
        root=uid == 0,
        resolve=resolve,
    )
