"""Settings that only make sense together: mailboxes, their sizes and owners, and logins that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config.lint.finding import Edit, Finding, Message
from tayori.config.lint.relay import every_word
from tayori.config.lint.source import Source
from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings

FILE = Message(
    "warning",
    "maildir-without-slash",
    "home_mailbox = {value} is one file, not a Maildir",
    'Only a path that ends in "/" is a Maildir; IMAP servers that look for one there find nothing.',
    "Write home_mailbox = {value}/",
)
SMALL = Message(
    "warning",
    "mailbox-smaller-than-message",
    "{name} = {value} is smaller than message_size_limit = {limit}",
    "A mail between the two is taken and then comes back to its sender; Postfix does not deliver at all with this.",
    "Raise {name}, or write 0 for no limit, or lower message_size_limit.",
)
OWNER = Message(
    "warning",
    "virtual-without-owner",
    "{name} is not set, so mail for virtual_mailbox_domains cannot be written",
    "The virtual agent asks {name} whose files the mailboxes are. Until then this mail waits in the queue.",
    "Write for example: {name} = static:5000",
)
NOBODY = Message(
    "warning",
    "virtual-without-mailboxes",
    "virtual_mailbox_domains is set, but virtual_mailbox_maps is not",
    "No address of these domains has a mailbox, so their mail waits or comes back.",
    "Set virtual_mailbox_maps, or virtual_transport to the server that has the mailboxes, as in "
    "lmtp:unix:private/dovecot-lmtp.",
)
LOGIN = Message(
    "warning",
    "login-without-permit",
    "people can log in{where}, but no rule lets those who did send to other domains",
    "permit_sasl_authenticated is missing in smtpd_relay_restrictions and smtpd_recipient_restrictions.",
    "Put permit_sasl_authenticated before reject_unauth_destination in smtpd_relay_restrictions.",
)


def check(source: Source) -> Iterator[Finding]:
    """All of them."""
    for one in (home_mailbox, sizes, owners, logins):
        try:
            yield from one(source)
        except ConfigError:
            continue  # the value has its own finding


def home_mailbox(source: Source) -> Iterator[Finding]:
    """A path called Maildir that is none."""
    settings = source.settings
    value = settings.text("home_mailbox")
    if value.rpartition("/")[2].lower().lstrip(".") == "maildir":
        origin = settings.origin("home_mailbox") or Origin(source.main)
        line = source.line(origin)
        mend = Edit(origin.file, origin.line, (line.rstrip() + "/",)) if line.rstrip().endswith(value) else None
        yield FILE.at(origin, mend, value=value)


def sizes(source: Source) -> Iterator[Finding]:
    """mailbox_size_limit and virtual_mailbox_limit against message_size_limit; 0 is no limit."""
    settings = source.settings
    limit = settings.number("message_size_limit")
    for name in ("mailbox_size_limit", "virtual_mailbox_limit"):
        value = settings.number(name)
        used = name == "mailbox_size_limit" or virtual_agent(settings)
        if used and value and (not limit or value < limit):
            origin = settings.origin(name) or settings.origin("message_size_limit") or Origin(source.main)
            yield SMALL.at(origin, name=name, value=value, limit=limit)


def virtual_agent(settings: Settings) -> bool:
    """Whether mail is written by our own virtual agent."""
    transport = settings.text("virtual_transport").partition(":")[0]
    return bool(settings.items("virtual_mailbox_domains")) and transport == "virtual"


def owners(source: Source) -> Iterator[Finding]:
    """virtual(8) needs mailbox, uid and gid of each address."""
    settings = source.settings
    if not settings.is_set("virtual_mailbox_domains") or not virtual_agent(settings):
        return
    if settings.is_set("transport_maps") and not settings.is_set("virtual_mailbox_maps"):
        return  # the table may send these domains elsewhere
    origin = settings.origin("virtual_mailbox_domains") or Origin(source.main)
    if not settings.items("virtual_mailbox_maps"):
        yield NOBODY.at(origin)
        return
    for name in ("virtual_uid_maps", "virtual_gid_maps"):
        if not settings.items(name):
            yield OWNER.at(origin, name=name)


def logins(source: Source) -> Iterator[Finding]:
    """smtpd_sasl_auth_enable in a service whose rules never ask for a login."""
    for service, settings in source.smtpd_views:
        if not settings.flag("smtpd_sasl_auth_enable"):
            continue
        lists = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
        words = {word for name in lists for word in every_word(settings, name)}
        if words & {"permit_sasl_authenticated", "permit", "check_sasl_access"} or not words:
            continue
        assignment = settings.assignment("smtpd_sasl_auth_enable")
        where = f" ({service.name})" if service.overrides else ""
        yield LOGIN.at(assignment.origin if assignment else Origin(source.main), where=where)
        return
