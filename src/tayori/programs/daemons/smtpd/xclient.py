"""XCLIENT (XCLIENT_README): an authorised host gives another client's identity, and the session begins anew."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tayori.policy.facts import LoginFacts
from tayori.protocol import smtp_commands as say
from tayori.protocol.address import valid_hostname
from tayori.protocol.reply import Reply

if TYPE_CHECKING:
    from tayori.programs.daemons.smtpd.session import Session

NAMES = frozenset(("NAME", "REVERSE_NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"))
_UNAVAILABLE = {"[UNAVAILABLE]": 5, "[TEMPUNAVAIL]": 4}


async def xclient(session: Session, argument: bytes) -> Reply | None:
    """XCLIENT attribute=value …"""
    if not await session.listed(session.service.xclient_hosts):
        return Reply(550, "5.7.0", "Error: insufficient authorization")
    if not argument:
        return Reply(501, "5.5.4", "Syntax: XCLIENT attribute=value...")
    values: dict[str, str] = {}
    for word in argument.split():
        attribute, equals, raw = word.partition(b"=")
        if not equals:
            return Reply(501, "5.5.4", "Error: attribute=value expected")
        name, value = say.printable(attribute).upper(), _xtext(raw)
        if name not in NAMES:
            return Reply(501, "5.5.4", f"Bad XCLIENT attribute name: {name}")
        if not _good(name, value):
            return Reply(501, "5.5.4", f"Bad {name} syntax: {value}")
        values[name] = value
    session.reset()
    session.helo, session.esmtp, session.login, session.denied = None, False, None, ""
    await _adopt(session, values)
    await session.banner()
    return None


def _xtext(raw: bytes) -> str:
    """RFC 3461 4 xtext, as UTF-8: `+XX` is a byte; what is no text becomes `?`."""
    return say.printable(re.sub(rb"\+([0-9A-Fa-f]{2})", lambda m: bytes((int(m.group(1), 16),)), raw))


def _good(name: str, value: str) -> bool:
    if value.upper() in _UNAVAILABLE:
        return True
    if name in ("NAME", "REVERSE_NAME"):
        return valid_hostname(value)
    if name in ("ADDR", "DESTADDR"):
        return _address(value) is not None
    if name in ("PORT", "DESTPORT"):
        return value.isascii() and value.isdigit()
    if name == "PROTO":
        return value.upper() in ("SMTP", "ESMTP")
    return True


def _address(value: str) -> str | None:
    try:
        text = value[5:] if value[:5].upper() == "IPV6:" else value
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


async def _adopt(session: Session, values: dict[str, str]) -> None:
    session.transcript.forget()  # what was said before was said by somebody else
    client = session.client
    upper = {name: value.upper() for name, value in values.items()}
    if "ADDR" in values and upper["ADDR"] not in _UNAVAILABLE:
        client = replace(client, address=_address(values["ADDR"]) or "")
        if "NAME" not in values:
            session.client = client
            await session.look_up_client()
            client = session.client
    if "NAME" in values:
        code = _UNAVAILABLE.get(upper["NAME"], 2)
        name = values["NAME"] if code == 2 else "unknown"
        client = replace(client, name=name, name_code=code)
        if "REVERSE_NAME" not in values:
            client = replace(client, reverse_name=name, reverse_code=code)
    if "REVERSE_NAME" in values:
        code = _UNAVAILABLE.get(upper["REVERSE_NAME"], 2)
        client = replace(client, reverse_name=values["REVERSE_NAME"] if code == 2 else "unknown", reverse_code=code)
    if values.get("PORT", "").isdigit():
        client = replace(client, port=int(values["PORT"]))
    if "DESTADDR" in values and upper["DESTADDR"] not in _UNAVAILABLE:
        client = replace(client, server_address=_address(values["DESTADDR"]) or "")
    if values.get("DESTPORT", "").isdigit():
        client = replace(client, server_port=int(values["DESTPORT"]))
    session.client = client
    if "HELO" in values and upper["HELO"] not in _UNAVAILABLE:
        session.helo = values["HELO"]
    if "PROTO" in values and upper["PROTO"] not in _UNAVAILABLE:
        session.esmtp = upper["PROTO"] == "ESMTP"
    if "LOGIN" in values and upper["LOGIN"] not in _UNAVAILABLE:
        session.login = LoginFacts(values["LOGIN"], "xclient")
