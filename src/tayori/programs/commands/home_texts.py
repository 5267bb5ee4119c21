"""What the home server writes into its folder and says to the person who tries it, in that person's language."""

from __future__ import annotations

from collections.abc import Mapping
from email.header import Header

from tayori.programs.commands.init_texts import note
from tayori.programs.language import ENGLISH, N_, Language

Fields = Mapping[str, object]

STARTED = N_("Your home server is up. {user} writes a letter to {user}@{domain}:")

SWAKS = """\
  swaks --server {host}:{submission} --tls --auth PLAIN --auth-user {user} --auth-password {password} \\
        --from {user}@{domain} --to {user}@{domain}

  printf 'Subject: by curl\\n\\nHello\\n' | curl --url smtp://{host}:{submission} --ssl-reqd \\
        --cacert {certificate} --user {user}:{password} \\
        --mail-from {user}@{domain} --mail-rcpt {user}@{domain} --upload-file -

  python3 - <<'END'
  import smtplib, ssl
  with smtplib.SMTP("{host}", {submission}) as server:
      server.starttls(context=ssl.create_default_context(cafile="{certificate}"))
      server.login("{user}", "{password}")
      server.sendmail("{user}@{domain}", ["{user}@{domain}"], "Subject: by Python\\n\\nHello")
  END
"""


def main_cf(fields: Fields, say: Language = ENGLISH) -> str:
    """main.cf."""

    def noted(*texts: str) -> str:
        return note(say, *texts)

    parts = (
        noted(say("main.cf of a home mail server to try things with. `tayori check -c {conf}` reads it with you; "
                  "`tayori reload -c {conf}` makes changes count.", **fields))
        + "compatibility_level = 3.6\n",
        noted(say("Who we are, and whose mail is ours: anything@{domain} is kept here.", **fields))
        + "myhostname = mail.{domain}\nmydomain = {domain}\nmyorigin = $mydomain\n"
        "mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain\n".format(**fields),
        noted(say("Only this machine can connect. For your home network: inet_interfaces = all"))
        + "inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n",
        noted(say("Nobody is trusted for where they connect from: whoever sends to others must log in."))
        + "mynetworks =\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n",
        noted(say("Logins (tayori user add -c {conf} NAME), and only when the connection is encrypted.", **fields))
        + "smtpd_sasl_auth_enable = yes\nsmtpd_tls_security_level = may\nsmtpd_tls_auth_only = yes\n"
        "smtpd_tls_chain_files = {conf}/tls.pem\n".format(**fields),
        noted(say("Mail goes to Maildir/ in the home of a user. Its users stand in a file of their own."))
        + "home_mailbox = Maildir/\ntayori_passwd_file = {conf}/passwd\nalias_maps = hash:{conf}/aliases\n"
        "alias_database = $alias_maps\n".format(**fields),
        noted(say("A trial sends nothing to other machines. Take this line away to let it."))
        + "default_transport = error:this server is a trial and sends nothing to other machines\n",
        noted(say("All in one folder, and all as the user who started it."))
        + "queue_directory = {var}/spool\nmaillog_file = {var}/maillog\ntayori_single_user = yes\n"
        "smtpd_peername_lookup = no\nmail_name = tayori\n".format(**fields),
    )  # fmt: skip
    return "\n".join(parts)


def master_cf(fields: Fields, say: Language = ENGLISH) -> str:
    """master.cf."""
    return note(say, say("Which ports are served. Written by tayori home-server.")) + (
        "{host}:{smtp} inet n - n - - smtpd\n"
        "{host}:{submission} inet n - n - - smtpd\n"
        "  -o syslog_name=postfix/submission\n"
        "  -o smtpd_tls_security_level=encrypt\n"
        "{host}:{submissions} inet n - n - - smtpd\n"
        "  -o syslog_name=postfix/submissions\n"
        "  -o smtpd_tls_wrappermode=yes\n"
    ).format(**fields)


def smtpd_conf(say: Language = ENGLISH) -> str:
    """sasl/smtpd.conf."""
    text = say("Where passwords are checked: tayori's own account file (tayori user ...), hashed with argon2id.")
    return note(say, text) + "pwcheck_method: accounts\nmech_list: plain login\n"


def aliases(fields: Fields, say: Language = ENGLISH) -> str:
    """The alias file."""
    return note(say, say("name: who gets the mail instead")) + "postmaster: root\nroot: {user}\n".format(**fields)


def letter(fields: Fields, date: str, message_id: str, say: Language = ENGLISH) -> str:
    """The first letter."""
    subject = Header(say("The first letter"), None if say.code == "en" else "utf-8").encode()
    body = say(
        "It works: this letter went in by port {submission}, encrypted and after a login,\n"
        "lay in the queue for a moment, and was put into a Maildir.",
        **fields,
    )
    head = "From: {user}@{domain}\nTo: {user}@{domain}\n".format(**fields)
    encoding = "7bit" if body.isascii() else "8bit"
    return (
        f"{head}Subject: {subject}\nDate: {date}\nMessage-ID: {message_id}\nMIME-Version: 1.0\n"
        f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n{body}\n"
    )


def more(fields: Fields, say: Language = ENGLISH) -> str:
    """How to send more, and where to look."""
    return "\n".join(
        (
            "\n",
            say("It goes on serving until Ctrl-C. Send more, from another window:"),
            "",
            say("  name {user}, password {password}   (in {var}/password)", **fields),
            say(
                "  port {smtp}: mail from other servers; {submission}: your own mail (STARTTLS and login);", **fields
            ),
            say("  {submissions}: your own mail (TLS from the start and login)", **fields),
            "",
            SWAKS.format(**fields),
            say("Without a login it refuses to send mail to others: try --to someone@elsewhere.example, no --auth."),
            "",
            say("Look on:"),
            say("  new mail       {mailbox}", **fields),
            say("  configuration  {conf}/main.cf   (then: {tayori} reload -c {conf})", **fields),
            say("  more logins    {tayori} user add -c {conf} NAME", **fields),
            say("  more mailboxes a line for each user in {conf}/passwd", **fields),
            say("  queue          {tayori} mailq -c {conf}", **fields),
            say("  log            {var}/maillog, and here as it comes", **fields),
            "",
        )
    )
