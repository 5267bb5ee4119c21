"""Outcomes of the SMTP and LMTP client, in the words and codes that Postfix logs."""

from __future__ import annotations

import os
import re

from tayori.delivery.mx import Target
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.protocol.smtp_client_replies import ServerReply
from tayori.protocol.smtp_client_values import COMMAND_NAMES, Lost, Stage

_STATUS = re.compile(r"[45]\d\d[ -]([45]\.\d{1,3}\.\d{1,3})(?!\S)", re.ASCII)


def said(target: Target, reply: ServerReply, stage: Stage) -> DeliveryOutcome:
    """What a server's answer means for a recipient: 2xx to the content delivers, 5xx bounces, the rest defers."""
    if reply.good and stage is Stage.DOT:
        return Delivered(reply.text, reply.status, target.relay, reply.text)
    text = f"host {target.name} said: {reply.text} (in reply to {COMMAND_NAMES.get(stage, stage.value)})"
    return _by_code(reply, text, target)


def asked(target: Target, reply: ServerReply, stage: Stage) -> DeliveryOutcome:
    """What a server's answer means for an address that is only asked about (verify(8))."""
    if reply.good and stage is Stage.RCPT:
        return Delivered(reply.text, reply.status, target.relay, reply.text)
    return said(target, reply, stage)


def refused(target: Target, reply: ServerReply, *, soft: bool) -> DeliveryOutcome:
    """A greeting or handshake reply. `soft`: another server may be better, so a 5xx only defers."""
    text = f"host {target.name} refused to talk to me: {reply.text}"
    if soft and reply.code >= 500:
        return DeferredDelivery(text, "4" + reply.status[1:], target.relay, reply.text)
    return _by_code(reply, text, target)


def _by_code(reply: ServerReply, text: str, target: Target) -> DeliveryOutcome:
    if reply.code >= 500:
        return BouncedDelivery(text, reply.status, target.relay, reply.text)
    if reply.temporary:
        return DeferredDelivery(text, reply.status, target.relay, reply.text)
    return DeferredDelivery(f"protocol error: {text}", "4.5.0", target.relay, reply.text)


def lost(target: Target, event: Lost) -> DeliveryOutcome:
    """The session ended before an answer came."""
    if event.reply is not None:
        return said(target, event.reply, event.stage)
    if event.broken:
        return DeferredDelivery(
            f"protocol error by host {target.name}: {event.broken} (while {event.stage.value})", "4.5.0", target.relay
        )
    return DeferredDelivery(f"lost connection with {target.name} while {event.stage.value}", "4.4.2", target.relay)


def timed_out(target: Target, stage: Stage) -> DeferredDelivery:
    """No answer within the time limit."""
    return DeferredDelivery(f"conversation with {target.name} timed out while {stage.value}", "4.4.2", target.relay)


def no_connection(target: Target, error: OSError) -> DeferredDelivery:
    """connect(2) failed, or took too long."""
    if isinstance(error, TimeoutError):
        why = "Connection timed out"
    else:
        why = os.strerror(error.errno) if error.errno else str(error)
    return DeferredDelivery(f"connect to {target.relay}: {why}", "4.4.1")


def own_greeting(target: Target, destination: str) -> BouncedDelivery:
    """The server calls itself by our name (RFC 5321 5.1)."""
    return BouncedDelivery(f"mail for {destination} loops back to myself", "5.4.6", target.relay)


def no_tls(target: Target) -> DeferredDelivery:
    """Level encrypt, and no STARTTLS in the answer to EHLO."""
    return DeferredDelivery(f"TLS is required, but was not offered by host {target.name}", "4.7.4", target.relay)


def tls_refused(target: Target, reply: ServerReply) -> DeferredDelivery:
    """Level encrypt, and STARTTLS was answered with an error."""
    return DeferredDelivery(
        f"TLS is required, but host {target.name} refused to start TLS: {reply.text}",
        "4.7.4",
        target.relay,
        reply.text,
    )


def tls_failed(target: Target) -> DeferredDelivery:
    """Level encrypt, and the handshake failed."""
    return DeferredDelivery(f"Cannot start TLS: handshake failure with {target.name}", "4.7.5", target.relay)


def no_smtputf8(target: Target) -> BouncedDelivery:
    """RFC 6531 3.2."""
    return BouncedDelivery(f"SMTPUTF8 is required, but was not offered by host {target.name}", "5.6.7", target.relay)


def too_large(target: Target, size: int, limit: int) -> BouncedDelivery:
    """RFC 1870 6.1."""
    return BouncedDelivery(
        f"message size {size} exceeds size limit {limit} of server {target.name}", "5.3.4", target.relay
    )


def no_table(parameter: str) -> DeferredDelivery:
    """A table of the client's own settings cannot be asked now."""
    return DeferredDelivery(f"{parameter} cannot be asked", "4.3.0")


def auth_failed(target: Target, why: str, *, soft: bool, reply: str = "", cached: bool = False) -> DeliveryOutcome:
    """SASL towards the server failed; `reply` is what it said, if it did; `soft`: smtp_sasl_auth_soft_bounce;
    `cached`: so it was before, and it was not asked again (smtp_sasl_auth_cache_name)."""
    text = f"SASL {'[CACHED] ' if cached else ''}authentication failed; {why}"
    found = _STATUS.match(reply)
    status = "x.7.8" if not reply else found[1] if found else "x.0.0"
    kind = DeferredDelivery if soft else BouncedDelivery
    return kind(text, ("4" if soft else "5") + status[1:], target.relay, reply)
