"""Causes and remedies of refusals that no restriction gave: limits, syntax, encryption, content checks, the disk.

They are known by the words of the reply, which are Postfix's. Each names the parameters that would change it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tayori.config.settings import Settings
from tayori.programs.explain.values import Remedy
from tayori.programs.history.record import Decision
from tayori.programs.language import N_, Language


@dataclass(frozen=True, slots=True)
class Known:
    """`mend` may be "" where the sender alone can act; `settings` are what to look at, the first is `{setting}`."""

    pattern: re.Pattern[str]
    cause: str
    mend: str = ""
    settings: tuple[str, ...] = ()


def _known(pattern: str, cause: str, mend: str, *settings: str) -> Known:
    return Known(re.compile(pattern), cause, mend, settings)


# The first that fits counts.
KNOWN = (
    _known(
        r"Must issue a STARTTLS command first",
        N_("This port demands encryption before anything else ({setting} = {value})."),
        N_('Turn on STARTTLS in the client; only a port for the whole Internet should use "may" instead.'),
        "smtpd_tls_security_level",
    ),
    _known(
        r"TLS not available|TLS is required, but",
        N_("Encryption could not be set up: certificate or key are missing or unusable."),
        N_("tayori check says what is wrong with the certificate."),
        "smtpd_tls_chain_files",
        "smtpd_tls_cert_file",
    ),
    _known(
        r"Message size exceeds fixed limit|message file too big",
        N_("The mail is larger than {setting} = {value} bytes allows."),
        N_("Send a smaller mail, or raise the limit; encoded attachments take a third more room than the files."),
        "message_size_limit",
    ),
    _known(
        r"Insufficient system storage",
        N_("The disk of the queue has too little room left ({setting} = {value})."),
        N_("Make room on that disk; the sender's server tries again by itself."),
        "queue_minfree",
        "queue_directory",
    ),
    _known(
        r"queue file write error",
        N_("The mail could not be written into the queue, or a table of address rewriting did not answer."),
        N_("The mail log of that moment names the file or table."),
        "queue_directory",
    ),
    _known(
        r"too many connections from",
        N_("The client had more sessions open, or opened them faster, than is allowed."),
        N_("A machine of yours may be put on smtpd_client_event_limit_exceptions; or raise the limit."),
        "smtpd_client_connection_count_limit",
        "smtpd_client_connection_rate_limit",
    ),
    _known(
        r"too much mail from",
        N_("The client sent more mails in a while than {setting} = {value} allows."),
        N_("A machine of yours may be put on smtpd_client_event_limit_exceptions; or raise the limit."),
        "smtpd_client_message_rate_limit",
    ),
    _known(
        r"too many recipients from",
        N_("The client named more recipients in a while than {setting} = {value} allows."),
        N_("A machine of yours may be put on smtpd_client_event_limit_exceptions; or raise the limit."),
        "smtpd_client_recipient_rate_limit",
    ),
    _known(
        r"too many AUTH commands from",
        N_("The client tried to log in too often ({setting} = {value})."),
        N_("Look for a program with an old password; somebody may be guessing passwords."),
        "smtpd_client_auth_rate_limit",
    ),
    _known(
        r"too many recipients",
        N_("One mail may have {value} recipients here ({setting})."),
        N_("Mail programs send the rest as a second mail by themselves; for lists raise the limit."),
        "smtpd_recipient_limit",
    ),
    _known(
        r"too many errors",
        N_("The client made {value} errors in one session ({setting})."),
        N_("The refusals before this one are the cause: tayori find and tayori trace show them."),
        "smtpd_hard_error_limit",
    ),
    _known(
        r"authentication failure|authentication failed",
        N_("Name or password were not right, or the password check could not be reached."),
        N_("Find out why the login fails: tayori explain-login USER"),
        "smtpd_sasl_auth_enable",
    ),
    _known(
        r"authentication not enabled",
        N_("The client tried to log in, but this port offers no login to it."),
        N_("Log in on the submission port, or after STARTTLS; {setting} turns logins on."),
        "smtpd_sasl_auth_enable",
        "smtpd_tls_auth_only",
    ),
    _known(
        r"Encryption required for requested authentication",
        N_("This way to log in is allowed only after STARTTLS, lest the password can be read on its way."),
        N_("Turn on STARTTLS in the client."),
        "smtpd_tls_auth_only",
        "smtpd_sasl_security_options",
    ),
    _known(
        r"send HELO/EHLO first",
        N_("The client did not say HELO or EHLO first, and {setting} = {value}."),
        N_("Real mail programs greet; a script must begin with EHLO and its host's name."),
        "smtpd_helo_required",
    ),
    _known(
        r"Bad (sender|recipient) address syntax|Syntax: (MAIL FROM|RCPT TO)",
        N_("The address is not written as SMTP wants it: <name@domain>."),
        N_("Correct the address in the sending program; strict_rfc821_envelopes = no forgives more."),
        "strict_rfc821_envelopes",
    ),
    _known(
        r"Must declare SMTPUTF8",
        N_("The address has letters beyond ASCII, and the client did not announce that (SMTPUTF8)."),
        N_("The sending program must support SMTPUTF8, or the address be written in ASCII."),
        "smtputf8_enable",
    ),
    _known(
        r"bare <LF> received",
        N_("The client ended lines with LF alone, which can smuggle mail past checks ({setting} = {value})."),
        N_("Mend the sending program; a known old client may go on smtpd_forbid_bare_newline_exclusions."),
        "smtpd_forbid_bare_newline",
    ),
    _known(
        r"too many hops",
        N_("The mail passed through more servers than {setting} = {value}: it goes round in a circle."),
        N_("The Received lines of the mail show the circle; often two servers forward to each other."),
        "hopcount_limit",
    ),
    _known(
        r"Alias expansion error",
        N_("The virtual aliases of the address lead to too many addresses, or in a circle."),
        N_("Look for a circle in these tables; a real list needs a higher virtual_alias_expansion_limit."),
        "virtual_alias_maps",
    ),
    _known(
        r"SMTP protocol synchronization|I can break rules",
        N_("The client sent what no mail program sends, for example a web browser's request."),
        N_("Nothing is to be done unless the client is yours."),
    ),
    _known(
        r"Service shutting down",
        N_("The server was being stopped or reloaded."),
        N_("Nothing is to be done: the client tries again by itself."),
    ),
)
CONTENT = (
    N_("A pattern of header or body checks fits the content of the mail."),
    N_("The log names the line that fitted; tayori explain --message FILE shows the pattern. Change or remove it."),
)
FITTED = (
    N_("A pattern of {checks} ({place}) fits: {text}"),
    N_("Change or remove it if such mail should pass."),
)
CHECKS = ("header_checks", "mime_header_checks", "nested_header_checks", "body_checks")


def known(reply: str) -> Known | None:
    """What is known of a reply."""
    return next((one for one in KNOWN if one.pattern.search(reply)), None)


def told(refusal: Decision, settings: Settings, say: Language) -> tuple[tuple[str, ...], tuple[Remedy, ...]]:
    """Causes and remedies of a refusal without a restriction; empty when nothing is known."""
    found = known(refusal.reply)
    if found is None:
        if refusal.stage != "END-OF-MESSAGE":
            return (), ()
        if refusal.by is not None:
            fields = {"checks": refusal.by.parameter, "place": refusal.by.place, "text": refusal.by.looked_up}
            return (say(FITTED[0], **fields),), (Remedy(say(FITTED[1]), refusal.by.place),)
        checks = [name for name in CHECKS if settings.items(name)]
        places = [str(settings.origin(name) or "") for name in checks]
        return (say(CONTENT[0]),), (Remedy(say(CONTENT[1]), places[0] if places else ""),)
    setting = found.settings[0] if found.settings else ""
    fields = {"setting": setting, "value": settings.text(setting) if setting else ""}
    place = next((str(at) for name in found.settings if (at := settings.origin(name))), "")
    named = found.settings and f"{setting}: " not in found.mend and setting not in found.mend
    remedy = Remedy(say(found.mend, **fields), place or (setting if named else ""))
    return (say(found.cause, **fields),), (remedy,)
