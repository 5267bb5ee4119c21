"""What the home server writes into its folder and says to the person who tries it."""

from __future__ import annotations

MAIN_CF = """\
# main.cf of a home mail server to try things with. `tayori check -c {conf}` reads it with you;
# `tayori reload -c {conf}` makes changes count.
compatibility_level = 3.6

# Who we are, and whose mail is ours: anything@{domain} is kept here.
myhostname = mail.{domain}
mydomain = {domain}
myorigin = $mydomain
mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain

# Only this machine can connect. For your home network: inet_interfaces = all
inet_interfaces = 127.0.0.1
inet_protocols = ipv4

# Nobody is trusted for where they connect from: whoever sends to others must log in.
mynetworks =
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination

# Logins (tayori user add -c {conf} NAME), and only when the connection is encrypted.
smtpd_sasl_auth_enable = yes
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {conf}/tls.pem

# Mail goes to Maildir/ in the home of a user. The users of this trial stand in a file of their own.
home_mailbox = Maildir/
tayori_passwd_file = {conf}/passwd
alias_maps = hash:{conf}/aliases
alias_database = $alias_maps

# A trial sends nothing to other machines. Take this line away to let it.
default_transport = error:this server is a trial and sends nothing to other machines

# All in one folder, and all as the user who started it.
queue_directory = {var}/spool
maillog_file = {var}/maillog
tayori_single_user = yes
smtpd_peername_lookup = no
mail_name = tayori
"""

MASTER_CF = """\
# Which ports are served. Written by tayori home-server.
{host}:{smtp} inet n - n - - smtpd
{host}:{submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
{host}:{submissions} inet n - n - - smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
"""

SMTPD_CONF = """\
# Where passwords are checked: tayori's own account file (tayori user ...), hashed with argon2id.
pwcheck_method: accounts
mech_list: plain login
"""

ALIASES = """\
# name: who gets the mail instead
postmaster: root
root: {user}
"""

LETTER = """\
From: {user}@{domain}
To: {user}@{domain}
Subject: The first letter
Date: {date}
Message-ID: {message_id}
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

It works: this letter went in by port {submission}, encrypted and after a login,
lay in the queue for a moment, and was put into a Maildir.
"""

STARTED = """\
Your home server is up. {user} writes a letter to {user}@{domain}:
"""

MORE = """

It goes on serving until Ctrl-C. Send more, from another window:

  name {user}, password {password}   (in {var}/password)
  port {smtp}: mail from other servers; {submission}: your own mail (STARTTLS and login);
  {submissions}: your own mail (TLS from the start and login)

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

Without a login it refuses to send mail to others: try --to someone@elsewhere.example without --auth.

Look on:
  new mail       {mailbox}
  configuration  {conf}/main.cf   (then: {tayori} reload -c {conf})
  more logins    {tayori} user add -c {conf} NAME
  more mailboxes a line for each user in {conf}/passwd
  queue          {tayori} mailq -c {conf}
  log            {var}/maillog, and here as it comes
"""
