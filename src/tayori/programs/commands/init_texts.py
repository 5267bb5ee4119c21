"""The files that `tayori init` writes. Every setting is explained in a beginner's words, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tayori.programs.language import ENGLISH, Language

WIDTH = 118
"""Columns of a comment."""


class Said(Protocol):
    """The answers that the texts need."""

    hostname: str
    domain: str
    networks: str
    logins: bool
    maildir: bool
    relayhost: str
    aliases: str
    root: bool


def note(say: Language, *texts: str) -> str:
    """Comment lines: each text begins a new one."""
    lines = [line for text in texts for line in say.wrap(text, WIDTH - 2, "")]
    return "".join(f"# {line}\n" for line in lines)


def smtpd_conf(say: Language = ENGLISH) -> str:
    """sasl/smtpd.conf."""
    comment = note(
        say,
        say("How logins are checked."),
        say("accounts: tayori's own account file beside main.cf; add people with: tayori user add NAME"),
        say("(saslauthd here would ask the system's own users instead.)"),
    )
    return f"{comment}pwcheck_method: accounts\nmech_list: plain login\n"


def aliases(admin: str, say: Language = ENGLISH) -> str:
    """A first alias file."""
    who = f"root: {admin}\n" if admin != "root" else "# root: yourname\n"
    comment = note(say, say("name: who gets the mail instead. Changes count at once."))
    return f"{comment}postmaster: root\nabuse: root\n{who}"


def main_cf(said: Said, directory: Path, say: Language = ENGLISH) -> str:
    """main.cf."""
    parts = [
        note(
            say,
            say("The configuration of this mail server, in Postfix's format (man 5 postconf)."),
            say(
                "A line that begins with a blank continues the line above; a comment begins with # at the very start "
                "of a line."
            ),
            say("After a change: tayori check, then tayori reload."),
        ),
        note(say, say("Use the defaults of Postfix 3.6 and later; older ones trust more than is good."))
        + "compatibility_level = 3.6\n",
        note(say, say("The name that this server calls itself. Its address in DNS should be this machine, and back."))
        + f"myhostname = {said.hostname}\nmydomain = {said.domain}\n",
        note(say, say("What is put behind the @ of addresses that have none (mail from programs on this machine)."))
        + "myorigin = $mydomain\n",
        note(
            say,
            say(
                "The domains whose mail is kept here, for the users of this machine. Add yours; never add domains "
                "of others."
            ),
        )
        + "mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain\n",
        note(say, say("Listen on every address of this machine. loopback-only: for programs on this machine alone."))
        + "inet_interfaces = all\n",
        note(
            say,
            say(
                "These machines may send mail to anywhere without a login. Keep it small: only networks of your own."
            ),
        )
        + f"mynetworks = {said.networks}\n",
        _relaying(said, say),
        _encryption(said, directory, say),
        *([_logins(say)] if said.logins else []),
        note(say, say("Encrypt mail to other servers whenever they can.")) + "smtp_tls_security_level = may\n",
        note(say, say("Other names for users: root, postmaster and so on."))
        + f"alias_maps = hash:{said.aliases}\nalias_database = $alias_maps\n",
        note(say, say("taro+shop@ goes to taro.")) + "recipient_delimiter = +\n",
        _mailboxes(said, say),
        _relayhost(said, say),
        note(say, say("The name of the software in the greeting.")) + "mail_name = tayori\n",
    ]
    if not said.root:
        comment = note(say, say("Started by an ordinary user, so everything is kept here."))
        parts.append(f"{comment}queue_directory = {directory}/spool\nmaillog_file = {directory}/maillog\n")
    return "\n".join(parts)


def _relaying(said: Said, say: Language) -> str:
    login = " permit_sasl_authenticated," if said.logins else ""
    who = (
        say("Who may send mail to other domains: our own networks, people who logged in, nobody else.")
        if said.logins
        else say("Who may send mail to other domains: our own networks, nobody else.")
    )
    last = say("Without the last word this would be an open relay, found and used by spammers within hours.")
    return note(say, who, last) + f"smtpd_relay_restrictions = permit_mynetworks,{login} reject_unauth_destination\n"


def _encryption(said: Said, directory: Path, say: Language) -> str:
    comment = note(
        say,
        say("Encryption: offered to everybody who comes. The certificate below was made by tayori init; clients will "
            "ask whether to trust it. With one from a public authority (Let's Encrypt), name its files instead:"),
    )  # fmt: skip
    live = f"/etc/letsencrypt/live/{said.hostname}"
    return (
        f"{comment}#   smtpd_tls_chain_files = {live}/privkey.pem,\n#       {live}/fullchain.pem\n"
        f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {directory}/tls.pem\n"
    )


def _logins(say: Language) -> str:
    text = say("People may log in (accounts: tayori user add NAME), but only when the connection is encrypted.")
    return note(say, text) + "smtpd_sasl_auth_enable = yes\nsmtpd_tls_auth_only = yes\n"


def _mailboxes(said: Said, say: Language) -> str:
    if said.maildir:
        return note(say, say("Mail is kept in Maildir/ in the user's home: one file a message.")) + (
            "home_mailbox = Maildir/\n"
        )
    return note(say, say("Mail is kept in /var/mail/NAME: one file a user.")) + "mail_spool_directory = /var/mail\n"


def _relayhost(said: Said, say: Language) -> str:
    if said.relayhost:
        text = say("Mail to others goes through this server; the brackets mean: this very host, no MX look-up.")
        return note(say, text) + f"relayhost = {said.relayhost}\n"
    text = say("Mail to others goes straight to their servers. Many providers block that for homes; then:")
    return note(say, text) + "#relayhost = [smtp.provider.example]:587\n"


def master_cf(said: Said, ports: Mapping[str, str], say: Language = ENGLISH) -> str:
    """master.cf; `ports` maps smtp, submission and submissions to other names where 25 cannot be had."""
    head = note(say, say("Which ports this server listens on, in Postfix's format (man 5 master)."))
    others = say("Mail from other servers (port 25 needs root).") if ports else say("Mail from other servers.")
    text = f"""\
{head}# service type private unpriv chroot wakeup maxproc command

{note(say, others)}{ports.get("smtp", "smtp")} inet n - n - - smtpd
"""
    if said.logins:
        own = say("Mail from your own people, who must encrypt and log in: port 587 by STARTTLS, port 465 encrypted "
                  "from the start.")  # fmt: skip
        text += f"""
{note(say, own)}{ports.get("submission", "submission")} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
{ports.get("submissions", "submissions")} inet n - n - - smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
"""
    return text


def next_steps(said: Said, directory: Path, say: Language = ENGLISH) -> str:
    """What to do now."""
    where = "" if str(directory) == "/etc/tayori" else f" -c {directory}"
    steps = [
        (f"tayori check{where}", say("reads it with you")),
        (f"tayori user add{where} NAME", say("lets somebody log in")),
        (f"tayori start{where}", say("serves until Ctrl-C (as a service: systemctl enable --now tayori)")),
        (f"tayori test-mail{where}", say("sends a letter through it and says where it went")),
    ]
    if not said.logins:
        del steps[1]
    width = max(len(command) for command, _ in steps)
    return f"\n{say('Next:')}\n" + "\n".join(f"  {command:<{width}}  {text}" for command, text in steps)
