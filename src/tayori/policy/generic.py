"""Restrictions that ask nobody: permit, reject, defer, defer_if_permit, defer_if_reject, sleep,
reject_plaintext_session, reject_unauth_pipelining, permit_sasl_authenticated (postconf(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.config.origin import ConfigError, Origin
from tayori.policy.answers import PERMIT, Answer, DeferIfPermit, DeferIfReject, Refusal
from tayori.policy.rule import Prepare, Rule

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation

MAX_SLEEP = 600


def code(parameter: str) -> Prepare:
    """A `prepare` that reads a reply code parameter; it must be 4xx or 5xx, lest a refusal read as a yes."""

    def read(compiler: Compiler, argument: str, origin: Origin | None) -> int:
        del argument, origin
        return reply_code(compiler, parameter)

    return read


def reply_code(compiler: Compiler, parameter: str) -> int:
    """The value of a reply code parameter. Raises ConfigError."""
    found = compiler.settings.number(parameter)
    if not 400 <= found <= 599:
        place = compiler.settings.origin(parameter)
        raise ConfigError(f"{parameter} = {found}: a refusal begins with 4 or 5", place, "write for example 550")
    return found


async def permit(run: Evaluation, rule: Rule) -> Answer:
    """Permit."""
    del run, rule
    return PERMIT


async def reject(run: Evaluation, rule: Rule) -> Answer:
    """Reject with reject_code."""
    return Refusal(rule.prepared, "5.7.1", run.rejected(run.name, run.label, "Access denied"))


async def defer(run: Evaluation, rule: Rule) -> Answer:
    """Defer with defer_code."""
    return Refusal(rule.prepared, "4.3.2", run.rejected(run.name, run.label, "Try again later"))


async def defer_if_permit(run: Evaluation, rule: Rule) -> Answer:
    """Defer what would be accepted."""
    del rule
    text = run.rejected(run.name, run.label, "defer_if_permit requested")
    return DeferIfPermit(Refusal(450, "4.7.0", text))


async def defer_if_reject(run: Evaluation, rule: Rule) -> Answer:
    """Defer what would be rejected."""
    del rule
    text = run.rejected(run.name, run.label, "defer_if_reject requested")
    return DeferIfReject(Refusal(450, "4.7.0", text))


def seconds(compiler: Compiler, argument: str, origin: Origin | None) -> float:
    """`prepare` of sleep. Raises ConfigError."""
    del compiler
    if not argument.isdigit() or int(argument) > MAX_SLEEP:
        raise ConfigError(f'sleep "{argument}"', origin, f"write whole seconds, at most {MAX_SLEEP}")
    return float(argument)


async def sleep(run: Evaluation, rule: Rule) -> Answer:
    """Pause this session, then go on."""
    await run.services.sleep(rule.prepared)
    run.effect("SLEEP", rule.argument)
    return None


async def reject_plaintext_session(run: Evaluation, rule: Rule) -> Answer:
    """Refuse without TLS (plaintext_reject_code)."""
    if run.facts.tls is not None:
        return None
    return Refusal(rule.prepared, "4.7.1", "Session encryption is required")


async def reject_unauth_pipelining(run: Evaluation, rule: Rule) -> Answer:
    """Refuse a client that spoke before its turn."""
    del rule
    if not run.facts.unauth_pipelining:
        return None
    text = run.rejected(run.name, run.label, "Improper use of SMTP command pipelining")
    return Refusal(503, "5.5.0", text)


def sasl_enabled(compiler: Compiler, argument: str, origin: Origin | None) -> bool:
    """Whether logins exist on this service at all."""
    del argument, origin
    return compiler.settings.flag("smtpd_sasl_auth_enable")


async def permit_sasl_authenticated(run: Evaluation, rule: Rule) -> Answer:
    """Permit who has logged in; without smtpd_sasl_auth_enable nobody has."""
    login = run.facts.login
    if login is None or not rule.prepared:
        return None
    run.note(f"login {login.username}", login.method)
    return PERMIT
