"""ANONYMOUS (RFC 4505): no login at all. Known, and refused unless the administrator names it."""

from __future__ import annotations

from tayori.sasl.mechanisms.base import (
    Broken,
    ClientContext,
    ClientDialogue,
    ClientTalk,
    ServerContext,
    ServerDialogue,
    ServerTalk,
    utf8,
)
from tayori.sasl.steps import Challenge, Failure, Success

MAX_TRACE = 255  # characters (RFC 4505 3)


def serve(context: ServerContext, initial: bytes | None) -> ServerDialogue:
    """The response is a trace text, which may be empty. Everybody is "anonymous"."""
    response: bytes = initial if initial is not None else (yield Challenge(b""))
    if len(utf8(response, "trace")) > MAX_TRACE:
        raise Broken(f"trace longer than {MAX_TRACE} characters")
    if not context.anonymous:
        return Failure("ANONYMOUS was not asked for by the configuration")
    return Success("anonymous")


def speak(context: ClientContext, talk: ClientTalk) -> ClientDialogue:
    """The trace is the user name, if there is one."""
    talk.complete = True
    yield context.username.encode()


def server(context: ServerContext) -> ServerTalk:
    return ServerTalk(serve, context)


def client(context: ClientContext) -> ClientTalk:
    return ClientTalk(speak, context)
