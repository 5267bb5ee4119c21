"""What a refusal means, in a beginner's words, with the place in this configuration that can change it."""

from __future__ import annotations

import re

from tayori.config.settings import Settings
from tayori.programs.language import ENGLISH, N_, Language

# (what the reply says, why, which setting to look at). The first that fits counts.
CAUSES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"Relay access denied"),
        N_(
            "This server does not keep mail for that domain, and sends to other domains only for people who logged "
            "in (--user NAME) and for the networks in mynetworks. If the domain is yours, add it to mydestination."
        ),
        "mydestination",
    ),
    (
        re.compile(r"User unknown in local recipient table"),
        N_(
            "There is no user and no alias of that name. Make the user (adduser NAME), or add a line to the alias "
            "file."
        ),
        "alias_maps",
    ),
    (
        re.compile(r"User unknown in virtual (mailbox|alias) table"),
        N_("The domain is ours, but no table has that address."),
        "virtual_mailbox_maps",
    ),
    (
        re.compile(r"no login is offered"),
        N_(
            "Set smtpd_sasl_auth_enable = yes; with smtpd_tls_auth_only = yes a certificate is needed too. If both "
            "are there, the log says which password check could not be reached."
        ),
        "smtpd_sasl_auth_enable",
    ),
    (
        re.compile(r"authentication fail|5\.7\.8", re.IGNORECASE),
        N_("Name or password are not right. tayori user list shows the accounts; tayori explain-login says more."),
        "smtpd_sasl_auth_enable",
    ),
    (
        re.compile(r"4\.3\.1|[Ii]nsufficient system storage"),
        N_("The disk of the queue is nearly full; make room there."),
        "queue_directory",
    ),
    (
        re.compile(r"[Cc]onnection (refused|timed out)|[Nn]etwork is unreachable|No route"),
        N_(
            "The other server cannot be reached. Many providers block port 25 for homes: send through your provider'"
            "s server then."
        ),
        "relayhost",
    ),
    (
        re.compile(r"Host (or domain name )?not found|NXDOMAIN|no MX|[Nn]ame service error"),
        N_("DNS knows no such domain: look for a typing error behind the @."),
        "",
    ),
    (re.compile(r"[Pp]ermission denied"), N_("The user's folders do not let the mail be written."), "home_mailbox"),
    (
        re.compile(r"[Cc]lient host rejected|Access denied"),
        N_("A rule in the configuration refuses this client or address; the log names it."),
        "smtpd_client_restrictions",
    ),
)


def explain(reply: str, settings: Settings, say: Language = ENGLISH) -> str:
    """Why, and where to look; empty when nothing is known."""
    for pattern, why, setting in CAUSES:
        if pattern.search(reply):
            if not setting:
                return f"  {say(why)}"
            origin = settings.origin(setting)
            return f"  {say(why)}\n  {setting}: {origin or say('not set in main.cf')}"
    return ""
