"""Sentences that several rows share: what a family of parameters does, and why it has no effect here."""

from __future__ import annotations

SERVICE = "The master.cf name under which other daemons reach {daemon}."
FOR_LMTP = "Does for LMTP deliveries what {other} does for SMTP."
FOR_POSTSCREEN = "Does for postscreen what {other} does for the SMTP server."
FOR_TLSPROXY = "Does in tlsproxy(8) what {other} does in smtpd."
FOR_TLSPROXY_CLIENT = "Does in tlsproxy(8) what {other} does in the SMTP client."
FOR_TRANSPORT = "Does for one transport what {other} does for all."

GRADES_ONLY = "Only the grades (smtpd_tls_ciphers, smtp_tls_ciphers …) choose ciphers so far."
GROUPS = "OpenSSL's own choice of groups holds, hybrid post-quantum ones among them where it has them."
INSTANCES = "postmulti is not there: give each instance a folder of its own and start it with tayori start -c FOLDER."
IN_MEMORY = "A message's recipients are read with it; qmgr_message_active_limit bounds what is in hand."
MILTERS = "It waits for smtpd_milters: no milter is asked yet."
NO_BERKELEY = "Tables are read from their text, without Berkeley DB."
NO_CLIENT_DSA = "DSA keys are gone from TLS 1.3 and are not read; smtp_tls_chain_files takes RSA and ECDSA."
NO_DAEMONS = "Daemons of Postfix talk over sockets; here these parts are one program."
NO_DANE = "DANE is not there yet: no TLSA records are looked up."
NO_DEADLINE = "Each wait has its own limit (smtp_…_timeout), counted anew at every sign of life."
NO_DH = "OpenSSL brings good groups of its own."
NO_DSA = "DSA keys are gone from TLS 1.3 and are not read; smtpd_tls_chain_files takes RSA and ECDSA."
NO_FLUSH_FILES = "There are no fast-flush files: the queue is asked by domain directly."
NO_MIGRATION = "There is nothing to migrate: hash: and btree: are read from their text."
NO_OVERTAKING = (
    "Here big messages do not stand before small ones: every message is delivered on its own, and "
    "only a destination's limits are shared."
)
NO_PIX = "Such firewalls get no special treatment; smtp_discard_ehlo_keywords can hide what they spoil."
NO_PROXYMAP = "Each worker opens its tables itself before it gives up root; proxy: before a table changes nothing."
NO_RAW_KEYS = "Raw keys need an interface to OpenSSL 3.2 that Python's libraries do not have yet."
NO_REQUIRETLS = "REQUIRETLS is not offered or asked for yet: no sender can demand TLS all the way."
NO_SCACHE = "Each worker keeps its own open sessions; there is no scache to share them."
NO_SERVER_DEADLINE = "smtpd_timeout is counted anew at every sign of life of the client."
NO_SERVICE = "The parts call each other directly here, so the name is never used."
NO_TLSPROXY = "There is no tlsproxy: each worker does TLS itself."
NO_TLSRPT = "TLSRPT is not there yet: nothing is counted or reported."
NO_TLS_TRACE = "Handshakes are not logged in such detail; smtpd_tls_loglevel = 1 shows protocol and cipher."
NO_VERIFY_LEVEL = (
    "Levels that check the other server's certificate are not there yet, and a configuration that "
    "asks for one does not start."
)
ONE_CERTIFICATE = (
    "It is not read yet; smtpd_tls_cert_file or smtpd_tls_chain_files may hold an ECDSA certificate "
    "instead of an RSA one."
)
ONE_CLIENT_CERTIFICATE = (
    "It is not read yet; smtp_tls_cert_file or smtp_tls_chain_files may hold an ECDSA certificate."
)
ONE_FILE = "The queue is one database file, and one folder of large messages."
OPENSSL_DEFAULTS = "OpenSSL's own defaults hold, with compression and renegotiation off."
OWN_PATH = "tayori is one program, found by its own path."
PAPERS = "Only Postfix's installer uses it; tayori's papers are in its docs folder."
POSTSCREEN = "postscreen does not run yet: every client goes straight to the SMTP server and its rules."
POSTSCREEN_DNS = "postscreen does not run yet; reject_rbl_client asks DNS lists meanwhile."
QMQP = "There is no QMQP server; SMTP does what it did."
RANDOMNESS = "Random numbers come from the kernel and OpenSSL."
ROTATION = "tayori does not rotate its log: journald or logrotate does."
TICKETS = "Sessions go on by tickets that the client keeps; there is no cache on disk."
