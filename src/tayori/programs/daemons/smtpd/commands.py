"""Handlers of HELO, EHLO, MAIL, RCPT, RSET, NOOP, VRFY, ETRN, HELP and QUIT (RFC 5321 4.1.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tayori.policy.facts import Facts, Stage
from tayori.policy.policy import PERMITTED
from tayori.policy.verdict import Action, Verdict
from tayori.programs.daemons.smtpd.options import SmtpdOptions, words
from tayori.programs.daemons.smtpd.values import EnvelopeRecipient, Transaction
from tayori.protocol import smtp_commands as say
from tayori.protocol.address import is_literal, split, valid_hostname
from tayori.protocol.orcpt import accepted, good_envid, typed
from tayori.protocol.path import BadPath, Path, parse_path
from tayori.protocol.reply import Reply
from tayori.queue.model import QueueBroken
from tayori.tables.outcome import Found, TempFail

if TYPE_CHECKING:
    from tayori.programs.daemons.smtpd.options import SmtpdOptions
    from tayori.programs.daemons.smtpd.session import Session

_FROM = re.compile(rb"from:[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
_TO = re.compile(rb"to:[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
MAX_GREETINGS = 1000
MESSAGE_EFFECTS = ("HOLD", "REDIRECT", "FILTER", "BCC", "PREPEND")
NOTIFY = {"NEVER", "SUCCESS", "FAILURE", "DELAY"}
KEYWORDS = (
    "8BITMIME", "PIPELINING", "SIZE", "VRFY", "ETRN", "AUTH", "VERP", "STARTTLS", "XCLIENT", "XFORWARD",
    "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "CHUNKING",
)  # fmt: skip
"""What smtpd_discard_ehlo_keywords may name, in the log's order."""
XCLIENT_ATTRIBUTES = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"


async def _greeted(session: Session, argument: bytes, esmtp: bool) -> Reply | None:
    """What HELO and EHLO share; None when accepted."""
    verb = "EHLO" if esmtp else "HELO"
    words = argument.split(None, 1)
    if not words:
        return Reply(501, "", f"Syntax: {verb} hostname")
    before, session.helo = session.helo, say.helo_name(words[0][:255])

    def accepted() -> None:
        name, session.helo = session.helo, before  # what ends here began under the name of then
        session.reset()
        session.helo = name

    # what the lists and the log see as the protocol is the one before this command, as in Postfix
    stage = Stage.HELO if esmtp else Stage.PLAIN_HELO
    verdict = await session.judge(stage, session.service.policy.helo, accepted=accepted)
    if verdict.reply is not None and not verdict.permitted:
        session.helo = before  # a refused one changes nothing: a transaction under way goes on
        return session.soften(verdict.reply)
    session.esmtp = esmtp or session.esmtp  # a HELO after EHLO changes nothing, as in Postfix
    return None


async def helo(session: Session, argument: bytes) -> Reply | None:
    """HELO (RFC 5321 4.1.1.1)."""
    refused = await _greeted(session, argument, esmtp=False)
    return refused or Reply(250, "", session.options.hostname)


async def ehlo(session: Session, argument: bytes) -> Reply | None:
    """EHLO (RFC 5321 4.1.1.1): one row per extension."""
    refused = await _greeted(session, argument, esmtp=True)
    if refused is not None:
        return refused
    options, service = session.options, session.service
    starttls = options.tls_level != "none" and session.tls is None and service.tls is not None
    mechanisms = await offered(session)
    session.trail.offered(mechanisms)
    xclient = await session.listed(service.xclient_hosts)
    if service.ehlo_keywords:
        found = await service.ehlo_keywords.lookup(session.client.address)
        if isinstance(found, TempFail):
            session.note(f"warning: smtpd_discard_ehlo_keyword_address_maps: {found.why}")
            return Reply(451, "4.3.0", "Server configuration problem")
        session.discard = words(found.value) if isinstance(found, Found) else options.discard_keywords
    if session.discard and "SILENT-DISCARD" not in session.discard:
        shown = " ".join(keyword for keyword in KEYWORDS if keyword in session.discard)
        session.note(f"discarding EHLO keywords: {shown}")
    key = (starttls, mechanisms, xclient, session.discard)
    reply = service.greetings.get(key)
    if reply is None:
        rows = _extensions(options, starttls, mechanisms, xclient)
        rows = [row for row in rows if re.split("[ =]", row)[0] not in session.discard]
        if len(service.greetings) > MAX_GREETINGS:
            service.greetings.clear()
        reply = service.greetings[key] = Reply(250, "", "\n".join([options.hostname, *rows]))
    return reply


def _extensions(options: SmtpdOptions, starttls: bool, mechanisms: tuple[str, ...], xclient: bool) -> list[str]:
    rows = ["PIPELINING", f"SIZE {options.size_limit}" if options.size_limit else "SIZE"]
    if not options.disable_vrfy:
        rows.append("VRFY")
    rows.append("ETRN")
    if starttls:
        rows.append("STARTTLS")
    if mechanisms:
        rows.append("AUTH " + " ".join(mechanisms))
        if options.sasl_broken_clients:
            rows.append("AUTH=" + " ".join(mechanisms))
    if xclient:
        rows.append(XCLIENT_ATTRIBUTES)
    rows += ["ENHANCEDSTATUSCODES", "8BITMIME", "DSN"]
    if options.smtputf8:
        rows.append("SMTPUTF8")
    rows.append("CHUNKING")
    return rows


async def offered(session: Session) -> tuple[str, ...]:
    """The mechanisms this client may use now."""
    service, options = session.service, session.options
    if service.authenticator is None or (options.tls_auth_only and session.tls is None):
        return ()
    if await session.listed(service.auth_exempt):
        return ()
    session_tls = session.stream.tls
    return service.authenticator.offered(
        tls=session_tls is not None,
        client_address=session.client.address,
        channel_bindings=session_tls.bindings if session_tls else {},
        external=session.external,
    )


async def mail(session: Session, argument: bytes) -> Reply | None:
    """MAIL FROM (RFC 5321 4.1.1.2)."""
    options = session.options
    if options.helo_required and session.helo is None:
        return say.SEND_HELO
    if session.transaction is not None:
        return say.NESTED_MAIL
    if session.incoming is not None:
        return say.MAIL_AFTER_BDAT
    match = _FROM.match(argument)
    if match is None or not match.group(1):
        return say.MAIL_SYNTAX
    path = _path(options, match.group(1), options.smtputf8 and "SMTPUTF8" not in session.discard)
    if isinstance(path, BadPath):
        return _bad_path(session, path, say.MAIL_SYNTAX, say.BAD_SENDER, match.group(1))
    parsed = _mail_parameters(session, path)
    if isinstance(parsed, Reply):
        return parsed
    if not parsed.sender.isascii() and not parsed.smtputf8 and (refused := _undeclared(parsed.sender, options)):
        return refused
    if session.service.rates.message(session.client.address) and not await _exempt(session):
        session.note(f"warning: Message delivery request rate limit exceeded: {session.peer} for service smtpd")
        return Reply(450, "4.7.1", f"Error: too much mail from {session.client.address}")
    session.transaction = parsed
    verdict = await session.judge(Stage.MAIL, session.service.policy.mail)
    if verdict.reply is not None and not verdict.permitted:
        reply = session.trail.last_word("MAIL", argument, session.soften(verdict.reply))
        session.reset()
        return reply
    _apply(session, verdict)
    if parsed.size and not session.service.intake.room(parsed.size):
        session.transaction = None
        return say.NO_SPACE
    return say.MAIL_OK


def _path(options: SmtpdOptions, text: bytes, smtputf8: bool) -> Path | BadPath:
    return parse_path(
        text,
        smtputf8=smtputf8,
        strict=options.strict_envelopes,
        numeric=options.numeric_domain,
        minus=options.min_user,
        null_domain=options.null_domain,
    )


def _bad_path(session: Session, bad: BadPath, missing: Reply, syntax: Reply, raw: bytes) -> Reply:
    if bad.missing:
        return missing
    session.note(f"warning: Illegal address syntax from {session.peer} in {session.where} command: "
                 f"{say.printable(raw[:100])}")  # fmt: skip
    return syntax


def _undeclared(sender: str, options: SmtpdOptions) -> Reply | None:
    """A sender beyond ASCII without SMTPUTF8: its domain must be ASCII, its local part only if strict_smtputf8."""
    if not split(sender)[1].isascii():
        return say.BAD_SENDER
    return say.MUST_DECLARE if options.strict_smtputf8 else None


def _mail_parameters(session: Session, path: Path) -> Transaction | Reply:
    """ESMTP parameters, one row per keyword."""
    size, body, utf8, auth, ret, envid = 0, "", False, "", "", ""
    options = session.options
    for word in path.parameters.split():
        keyword, equals, value = word.partition("=")
        keyword = keyword.upper()
        if keyword == "SIZE" and equals:
            if not value.isascii() or not value.isdigit():
                return say.BAD_SIZE
            size = int(value[:20])
            if options.size_limit and size > options.size_limit:
                session.note_refusal(
                    session.facts(Stage.MAIL).at(Stage.MAIL, sender=path.address), str(session.soften(say.TOO_LARGE))
                )
                return say.TOO_LARGE
        elif keyword == "BODY" and value.upper() in ("7BIT", "8BITMIME"):
            body = value.upper()
        elif keyword == "SMTPUTF8" and not equals and options.smtputf8 and "SMTPUTF8" not in session.discard:
            utf8 = True
        elif keyword == "AUTH" and equals:
            auth = value
        elif keyword in ("RET", "ENVID") and "DSN" in session.discard:
            return say.DSN_DISABLED
        elif keyword == "RET":
            if value.upper() not in ("FULL", "HDRS"):
                return Reply(501, "5.5.4", "Bad RET parameter syntax")
            ret = value.upper()
        elif keyword == "ENVID" and equals:
            if not good_envid(value):
                return Reply(501, "5.5.4", "Bad ENVID parameter syntax")
            envid = value
        else:
            return _unsupported(word)
    if options.minfree and not session.service.intake.room(size):
        session.note_refusal(session.facts(Stage.MAIL), str(say.NO_SPACE))
        session.note("warning: not enough free space in mail queue (queue_minfree)")
        return say.NO_SPACE
    return Transaction(path.address, size, body, utf8, auth, ret, envid)


async def rcpt(session: Session, argument: bytes) -> Reply | None:
    """RCPT TO (RFC 5321 4.1.1.3)."""
    options, transaction = session.options, session.transaction
    if transaction is None:
        return say.NEED_MAIL
    if session.incoming is not None:
        return say.RCPT_AFTER_BDAT
    match = _TO.match(argument)
    if match is None or not match.group(1):
        return say.RCPT_SYNTAX
    # as in Postfix, a domain beyond ASCII wants MAIL's SMTPUTF8; a local part does under strict_smtputf8 only
    path = _path(options, match.group(1), transaction.smtputf8)
    if isinstance(path, BadPath):
        return _bad_path(session, path, say.RCPT_SYNTAX, say.BAD_RECIPIENT, match.group(1))
    if options.strict_smtputf8 and not transaction.smtputf8 and not path.address.isascii():
        return say.MUST_DECLARE
    if not path.address:
        return say.BAD_RECIPIENT
    wishes = _rcpt_parameters(session, path)
    if isinstance(wishes, Reply):
        return wishes
    if len(transaction.recipients) >= options.recipient_limit:
        session.transaction = replace(transaction, overshoot=transaction.overshoot + 1)
        if transaction.overshoot < options.overshoot_limit:
            session.errors -= 1  # the caller counts one: overshoot within the limit is no error (postconf(5))
        return say.TOO_MANY_RECIPIENTS
    return await _judge_recipient(session, transaction, path, wishes)


def _rcpt_parameters(session: Session, path: Path) -> EnvelopeRecipient | Reply:
    """NOTIFY and ORCPT (RFC 3461 4.1, 4.2). Without ORCPT it is what the client typed, as in Postfix: reports and the
    next server name that, and duplicates are told apart by it."""
    notify, orcpt = "", typed(path.typed) if path.typed else ""
    dsn = "DSN" not in session.discard
    for word in path.parameters.split():
        keyword, equals, value = word.partition("=")
        keyword = keyword.upper()
        if keyword in ("NOTIFY", "ORCPT") and not dsn:
            return say.DSN_DISABLED
        if keyword == "NOTIFY" and equals:
            wanted = value.upper().split(",")
            if not set(wanted) <= NOTIFY or ("NEVER" in wanted and len(wanted) > 1):
                return Reply(501, "5.5.4", "Error: Bad NOTIFY parameter syntax")
            notify = ",".join(wanted)
        elif keyword == "ORCPT":
            kept = accepted(value)
            if kept is None:
                return Reply(501, "5.5.4", "Error: Bad ORCPT parameter syntax")
            orcpt = kept
        else:
            return _unsupported(word)
    return EnvelopeRecipient(path.address, notify, orcpt)


def _unsupported(word: str) -> Reply:
    return Reply(555, "5.5.4", f"Unsupported option: {say.printable(word.encode('utf-8', 'surrogateescape'))}")


async def _judge_recipient(
    session: Session, transaction: Transaction, path: Path, wishes: EnvelopeRecipient
) -> Reply:
    facts = session.facts(Stage.RCPT).at(Stage.RCPT, recipient=path.address)
    if session.service.rates.recipient(session.client.address) and not await _exempt(session):
        session.note(f"warning: Recipient address rate limit exceeded: {session.peer} for service smtpd")
        return Reply(450, "4.7.1", f"Error: too many recipients from {session.client.address}")
    # once a message is thrown away nothing is asked any more (access(5) DISCARD)
    verdict = PERMITTED if transaction.discard else await session.service.policy.rcpt(facts)
    session.note_verdict(verdict, facts)
    _apply(session, verdict)  # what rules did before another refused stays done, as in Postfix
    transaction = session.transaction or transaction
    if verdict.reply is not None and not verdict.permitted:
        return session.soften(verdict.reply)
    if not transaction.number:
        try:
            number = session.service.intake.next_number()
        except QueueBroken:
            return say.QUEUE_ERROR
        transaction = replace(transaction, number=number)
        session.note(f"{transaction.queue_id}: client={session.peer}{_login_note(session, transaction)}")
    recipients = (*transaction.recipients, wishes)
    session.transaction = replace(transaction, recipients=recipients)
    return say.RCPT_OK


async def _exempt(session: Session) -> bool:
    """smtpd_client_event_limit_exceptions; asked only when a limit is broken."""
    return await session.listed(session.service.event_exempt)


def _login_note(session: Session, transaction: Transaction) -> str:
    if session.login is None:
        return ""
    sender = f", sasl_sender={transaction.auth}" if transaction.auth else ""
    return f", sasl_method={session.login.method}, sasl_username={session.login.username}{sender}"


def _apply(session: Session, verdict: Verdict) -> None:
    """Keep what an access(5) action asks to do with the message."""
    transaction = session.transaction
    if transaction is None:
        return
    kept = on_message(verdict)
    if kept:
        transaction = session.transaction = replace(transaction, effects=transaction.effects + kept)
    if verdict.action is Action.DISCARD:
        text = verdict.reason.answer if verdict.reason else ""
        session.transaction = replace(transaction, discard=text or "DISCARD")


def on_message(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """The side effects that change the message (access(5))."""
    return tuple((e.kind, e.value) for e in verdict.effects if e.kind in MESSAGE_EFFECTS)


async def rset(session: Session, argument: bytes) -> Reply | None:
    """RSET (RFC 5321 4.1.1.5)."""
    if argument:
        return say.RSET_SYNTAX
    session.reset()
    return say.OK


async def noop(session: Session, argument: bytes) -> Reply | None:
    """NOOP (RFC 5321 4.1.1.9)."""
    return say.OK


async def help_(session: Session, argument: bytes) -> Reply | None:
    """HELP (RFC 5321 4.1.1.8). Postfix answers 500: asked for by the house instead."""
    return say.HELP


async def quit_(session: Session, argument: bytes) -> Reply | None:
    """QUIT (RFC 5321 4.1.1.10)."""
    return say.BYE


async def vrfy(session: Session, argument: bytes) -> Reply | None:
    """VRFY (RFC 5321 4.1.1.6): 252 for what would be accepted, else the refusal RCPT would give."""
    options = session.options
    if options.disable_vrfy:
        return Reply(502, "5.5.1", "VRFY command is disabled")
    utf8 = options.smtputf8 and "SMTPUTF8" not in session.discard
    utf8 = utf8 and argument[-8:].upper() == b"SMTPUTF8" and argument[-9:-8] in (b"", b" ", b"\t")
    if utf8:
        argument = argument[:-8].rstrip(b" \t")
    if not argument:
        return say.VRFY_SYNTAX
    path = parse_path(argument, smtputf8=utf8, strict=False, whole=True)
    if isinstance(path, BadPath) or not path.address:
        return say.BAD_RECIPIENT
    if options.strict_smtputf8 and not utf8 and not path.address.isascii():
        return say.MUST_DECLARE
    if session.transaction is not None and session.transaction.discard:
        return Reply(252, "2.0.0", say.printable(argument))  # nothing is asked any more (access(5) DISCARD)
    facts: Facts = session.facts(Stage.VRFY).at(Stage.VRFY, recipient=path.address)
    verdict = await session.service.policy.vrfy(facts)
    session.note_verdict(verdict, facts)
    if verdict.reply is not None and not verdict.permitted:
        return session.soften(verdict.reply)
    return Reply(252, "2.0.0", say.printable(argument))


async def etrn(session: Session, argument: bytes) -> Reply | None:
    """ETRN (RFC 1985) for the domains of fast_flush_domains."""
    if not argument:
        return Reply(500, "", "Syntax: ETRN domain")
    if session.options.helo_required and session.helo is None:
        return Reply(503, "", "Error: send HELO/EHLO first")
    words = argument.split()
    if len(words) != 1:
        return Reply(500, "", "Syntax: ETRN domain")
    site = say.printable(words[0].removeprefix(b"@").removeprefix(b"#"))
    if not valid_hostname(site) and not is_literal(site):
        return say.BAD_ETRN
    facts = session.facts(Stage.ETRN).at(Stage.ETRN, etrn=site)
    verdict = await session.service.policy.etrn(facts)
    session.note_verdict(verdict, facts)
    if verdict.reply is not None and not verdict.permitted:
        return session.soften(verdict.reply)
    if await session.service.intake.flush_site(site):
        return Reply(250, "", "Queuing started")
    return Reply(459, "", f"<{site}>: service unavailable")
