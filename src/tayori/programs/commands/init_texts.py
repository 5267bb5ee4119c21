"""The files that `tayori init` writes. Every setting is explained in a beginner's words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


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


SMTPD_CONF = """\
# How logins are checked.
# accounts: tayori's own account file beside main.cf; add people with: tayori user add NAME
# (saslauthd here would ask the system's own users instead.)
pwcheck_method: accounts
mech_list: plain login
"""


def aliases(admin: str) -> str:
    """A first alias file."""
    who = f"root: {admin}\n" if admin != "root" else "# root: yourname\n"
    return f"# name: who gets the mail instead. Changes count at once.\npostmaster: root\nabuse: root\n{who}"


def main_cf(said: Said, directory: Path) -> str:
    """main.cf."""
    people, login = (", people who logged in", " permit_sasl_authenticated,") if said.logins else ("", "")
    parts = [
        f"""\
# The configuration of this mail server, in Postfix's format (man 5 postconf).
# A line that begins with a blank continues the line above; a comment begins with # at the very start of a line.
# After a change: tayori check, then tayori reload.

# Use the defaults of Postfix 3.6 and later; older ones trust more than is good.
compatibility_level = 3.6

# The name that this server calls itself. Its address in DNS should be this machine, and back.
myhostname = {said.hostname}
mydomain = {said.domain}

# What is put behind the @ of addresses that have none (mail from programs on this machine).
myorigin = $mydomain

# The domains whose mail is kept here, for the users of this machine. Add yours; never add domains of others.
mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain

# Listen on every address of this machine. loopback-only: for programs on this machine alone.
inet_interfaces = all

# These machines may send mail to anywhere without a login. Keep it small: only networks of your own.
mynetworks = {said.networks}

# Who may send mail to other domains: our own networks{people}, nobody else.
# Without the last word this would be an open relay, found and used by spammers within hours.
smtpd_relay_restrictions = permit_mynetworks,{login} reject_unauth_destination

# Encryption: offered to everybody who comes. The certificate below was made by tayori init; clients will ask whether
# to trust it. With one from a public authority (Let's Encrypt), name its files instead:
#   smtpd_tls_chain_files = /etc/letsencrypt/live/{said.hostname}/privkey.pem,
#       /etc/letsencrypt/live/{said.hostname}/fullchain.pem
smtpd_tls_security_level = may
smtpd_tls_chain_files = {directory}/tls.pem
"""
    ]
    if said.logins:
        parts.append(
            """
# People may log in (accounts: tayori user add NAME), but only when the connection is encrypted.
smtpd_sasl_auth_enable = yes
smtpd_tls_auth_only = yes
"""
        )
    parts.append(
        f"""
# Encrypt mail to other servers whenever they can.
smtp_tls_security_level = may

# Other names for users: root, postmaster and so on.
alias_maps = hash:{said.aliases}
alias_database = $alias_maps

# taro+shop@ goes to taro.
recipient_delimiter = +
"""
    )
    if said.maildir:
        parts.append(
            "\n# Mail is kept in Maildir/ in the user's home: one file a message.\nhome_mailbox = Maildir/\n"
        )
    else:
        parts.append("\n# Mail is kept in /var/mail/NAME: one file a user.\nmail_spool_directory = /var/mail\n")
    if said.relayhost:
        parts.append(
            f"\n# Mail to others goes through this server; the brackets mean: this very host, no MX look-up.\n"
            f"relayhost = {said.relayhost}\n"
        )
    else:
        parts.append(
            "\n# Mail to others goes straight to their servers. Many providers block that for homes; then:\n"
            "#relayhost = [smtp.provider.example]:587\n"
        )
    parts.append("\n# The name of the software in the greeting.\nmail_name = tayori\n")
    if not said.root:
        parts.append(
            f"\n# Started by an ordinary user, so everything is kept here.\n"
            f"queue_directory = {directory}/spool\nmaillog_file = {directory}/maillog\n"
        )
    return "".join(parts)


def master_cf(said: Said, ports: Mapping[str, str]) -> str:
    """master.cf; `ports` maps smtp, submission and submissions to other names where 25 cannot be had."""
    text = f"""\
# Which ports this server listens on, in Postfix's format (man 5 master).
# service type private unpriv chroot wakeup maxproc command

# Mail from other servers{"" if not ports else " (port 25 needs root)"}.
{ports.get("smtp", "smtp")} inet n - n - - smtpd
"""
    if said.logins:
        text += f"""
# Mail from your own people, who must encrypt and log in: port 587 by STARTTLS, port 465 encrypted from the start.
{ports.get("submission", "submission")} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
{ports.get("submissions", "submissions")} inet n - n - - smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
"""
    return text


def next_steps(said: Said, directory: Path) -> str:
    """What to do now."""
    where = "" if str(directory) == "/etc/tayori" else f" -c {directory}"
    steps = [
        f"  tayori check{where}            reads it with you",
        f"  tayori start{where}            serves until Ctrl-C (as a service: systemctl enable --now tayori)",
        f"  tayori test-mail{where}        sends a letter through it and says where it went",
    ]
    if said.logins:
        steps.insert(1, f"  tayori user add{where} NAME    lets somebody log in")
    return "\nNext:\n" + "\n".join(steps)
