"""The matrix of docs/sasl.md: mechanisms, back ends, clients, and literally why a field is empty.

The tests try every filled field with the real peers and hold that an empty one is not offered; `table()` prints
what they hold. Make the page's part again: `PYTHONPATH=tests python -m interop.sasl.matrix` (a unit test compares).
"""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sasl.md"
BEGIN, END = "<!-- matrix: begin (made by interop.sasl.matrix) -->\n", "<!-- matrix: end -->\n"

MECHANISMS = (
    "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", "OAUTHBEARER", "XOAUTH2", "EXTERNAL", "ANONYMOUS",
    "GSSAPI",
)  # fmt: skip
CLIENTS = {
    "gsasl": "GNU SASL 2.2, `gsasl --smtp`",
    "smtptest": "Cyrus `smtptest` with libsasl2-modules 2.1.28",
    "swaks": "swaks",
    "smtplib": "Python smtplib",
    "curl": "curl",
    "msmtp": "msmtp with GNU SASL",
}
BACKENDS = {
    "accounts": "tayori's account file (`tayori user add --scram`)",
    "passwd-file": "a passwd-file with a `{PLAIN}` password",
    "saslauthd": "Cyrus saslauthd 2.1.28, `-a shadow`",
    "pam": "`tayori saslauthd -a pam` (pam_unix)",
    "shadow": "`tayori saslauthd -a shadow`",
    "cyrus-kerberos5": "Cyrus saslauthd 2.1.28, `-a kerberos5`, MIT Kerberos KDC",
    "kerberos5": "`tayori saslauthd -a kerberos5`, MIT Kerberos KDC",
    "sasldb": "sasldb2 made by Cyrus saslpasswd2",
    "gdbm": "sasldb2 in GDBM, as newer Red Hat has it, made by GNU's library",
    "sqlite": "auxprop sql, SQLite",
    "pgsql": "auxprop sql, PostgreSQL",
    "mysql": "auxprop sql, MariaDB",
    "ldap": "OpenLDAP by bind",
    "ldapdb": "OpenLDAP by auxprop ldapdb",
    "dovecot": "Dovecot 2.3's auth socket (`smtpd_sasl_type = dovecot`)",
    "rimap": "Dovecot's IMAP server (rimap)",
    "httpform": "a web server (httpform)",
    "oauth": "signed tokens (oauth, JWT)",
    "keytab": "a keytab alone (`keytab:` in smtpd.conf), tickets of MIT Kerberos",
    "none": "nothing but TLS (a client certificate mapped by tayori_sasl_external_names)",
}

SCRAM_PLAIN = ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")
SCRAM_PLUS = tuple(f"{name}-PLUS" for name in SCRAM_PLAIN)
SHARED = ("CRAM-MD5", "DIGEST-MD5", *SCRAM_PLAIN, *SCRAM_PLUS)
TOKENS = ("OAUTHBEARER", "XOAUTH2")
NO_BACKEND = ("EXTERNAL", "ANONYMOUS", "GSSAPI")

_ONLY = "it checks passwords and gives no stored secret"
_TOKEN = "it checks no tokens"
_APART = "needs no back end: see the last rows"
_NOTHING = "there is nothing to check it with"


def _lack(*groups: tuple[tuple[str, ...], str]) -> dict[str, str]:
    return {name: why for names, why in groups for name in names}


_PASSWORDS_ONLY = _lack((SHARED, _ONLY), (TOKENS, _TOKEN), (NO_BACKEND, _APART))
_ALL_SECRETS = _lack((TOKENS, _TOKEN), (NO_BACKEND, _APART))
_NOT_512 = "Dovecot 2.3 knows no SCRAM-SHA-512"

# Why a back end does not serve a mechanism. The tests hold that exactly the others are offered over TLS.
BACKEND_LACKS: dict[str, dict[str, str]] = {
    "accounts": _lack(
        (("CRAM-MD5", "DIGEST-MD5"), "the account file holds no plain passwords"),
        (("SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"), "--scram stores keys for SHA-1 and SHA-256, which clients have"),
        (TOKENS, _TOKEN),
        (NO_BACKEND, _APART),
    ),
    "passwd-file": _ALL_SECRETS,
    "saslauthd": _PASSWORDS_ONLY,
    "pam": _PASSWORDS_ONLY,
    "shadow": _PASSWORDS_ONLY,
    "cyrus-kerberos5": _PASSWORDS_ONLY,
    "kerberos5": _PASSWORDS_ONLY,
    "sasldb": _ALL_SECRETS,
    "gdbm": _ALL_SECRETS,
    "sqlite": _ALL_SECRETS,
    "pgsql": _ALL_SECRETS,
    "mysql": _ALL_SECRETS,
    "ldap": _PASSWORDS_ONLY,
    "ldapdb": _ALL_SECRETS,
    "dovecot": _lack(
        (("SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"), _NOT_512),
        (("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"), "Dovecot 2.3's auth protocol takes no channel binding"),
        (("EXTERNAL",), "Postfix tells Dovecot nothing of certificates, nor do we"),
        (("ANONYMOUS",), "smtpd_sasl_security_options refuses it"),
    ),
    "rimap": _PASSWORDS_ONLY,
    "httpform": _PASSWORDS_ONLY,
    "oauth": _lack((("PLAIN", "LOGIN", *SHARED), "it checks tokens alone"), (NO_BACKEND, _APART)),
    "keytab": _lack(
        (("PLAIN", "LOGIN", *SHARED, *TOKENS), _NOTHING), (("EXTERNAL", "ANONYMOUS"), "see the last row")
    ),
    "none": _lack((("PLAIN", "LOGIN", *SHARED, *TOKENS), _NOTHING), (("GSSAPI",), "see the row above")),
}

# Where a wrong password is tried with one mechanism alone; elsewhere with each, by one client after the other.
SLOW_REFUSALS = {"pam": "pam_unix waits two seconds before it says no"}

# Why a client does not try a mechanism.
CLIENT_LACKS: dict[str, dict[str, str]] = {
    "gsasl": _lack((("SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", *TOKENS), "GNU SASL does not have it")),
    "smtptest": _lack(
        (SCRAM_PLUS, "it binds by tls-unique, which TLS 1.3 does not have; in TLS 1.2 it gets in by all three"),
        (TOKENS, "libsasl2-modules does not have it"),
    ),
    "swaks": _lack(
        ((*SCRAM_PLAIN, *SCRAM_PLUS, *TOKENS, "EXTERNAL", "ANONYMOUS", "GSSAPI"), "swaks does not have it")
    ),
    "smtplib": _lack(
        (
            ("DIGEST-MD5", *SCRAM_PLAIN, *SCRAM_PLUS, *TOKENS, "EXTERNAL", "ANONYMOUS", "GSSAPI"),
            "smtplib does not have it",
        )
    ),
    "curl": _lack(
        ((*SCRAM_PLAIN, *SCRAM_PLUS), "Debian's curl is built without GNU SASL"),
        (("ANONYMOUS",), "curl does not have it"),
    ),
    "msmtp": _lack(
        (("SCRAM-SHA-512", *SCRAM_PLUS, "ANONYMOUS"), "msmtp does not have it"),
    ),
}

# Why a client that has a mechanism does not try it with one back end: (client, back end, mechanism).
FIELD_LACKS: dict[tuple[str, str, str], str] = {
    (
        "curl",
        "dovecot",
        "DIGEST-MD5",
    ): 'it does not read Dovecot\'s challenge, which has algorithm="md5-sess" in quotes',
}

# tayori as client: the servers, and why a mechanism is not tried there. ANONYMOUS is never used with credentials.
SERVERS = {
    "postfix": "Postfix 3.7 with Cyrus SASL and sasldb2",
    "dovecot": "Dovecot 2.3's submission server",
    "cyrus": "Cyrus IMAP 3.6's lmtpd, by LMTP and TLS 1.2",
    "gsasl": "GNU SASL 2.2, `gsasl --server` behind a line of SMTP",
    "tayori": "tayori with a passwd-file, token, certificate and keytab",
}
SERVER_LACKS: dict[str, dict[str, str]] = {
    "postfix": _lack(
        (SCRAM_PLUS, "Postfix passes no channel binding to Cyrus SASL"),
        (TOKENS, "libsasl2-modules 2.1.28 does not have it"),
        (("EXTERNAL",), "Postfix filters it out by default (smtpd_sasl_mechanism_filter)"),
        (("ANONYMOUS",), "never used by a client that has credentials"),
    ),
    "dovecot": _lack(
        (SCRAM_PLUS, "Dovecot 2.3 has no channel binding"),
        (("SCRAM-SHA-512",), _NOT_512),
        (("ANONYMOUS",), "never used by a client that has credentials"),
    ),
    "cyrus": _lack(
        (TOKENS, "libsasl2-modules 2.1.28 does not have it"),
        (("ANONYMOUS",), "never used by a client that has credentials"),
    ),
    "gsasl": _lack(
        (SCRAM_PLUS, "`gsasl --server` has no TLS, and so no channel binding"),
        (("SCRAM-SHA-512", *TOKENS), "GNU SASL does not have it"),
        (("EXTERNAL",), "`gsasl --server` does not check it: its program has no callback for it"),
        (("ANONYMOUS",), "never used by a client that has credentials"),
    ),
    "tayori": _lack((("ANONYMOUS",), "never used by a client that has credentials")),
}


# Servers that relay through tayori and log in for it, each offered all mechanisms of a passwd-file and a keytab.
RELAYS = {
    "postfix": "Postfix 3.7 with Cyrus SASL (`smtp_sasl_password_maps`)",
    "dovecot": "Dovecot 2.3's submission server (`submission_relay_host`)",
}
RELAY_LACKS: dict[str, dict[str, str]] = {
    "postfix": _lack(
        (SCRAM_PLUS, "Postfix passes no channel binding to Cyrus SASL"),
        (TOKENS, "libsasl2-modules 2.1.28 does not have it"),
        (("EXTERNAL",), "Postfix 3.7 tells Cyrus SASL nothing of its certificate"),
        (("ANONYMOUS",), "never used by a client that has credentials"),
    ),
    "dovecot": {name: "Dovecot 2.3 relays with PLAIN alone" for name in MECHANISMS if name != "PLAIN"},
}


def relayed(relay: str) -> tuple[str, ...]:
    """The mechanisms by which another server logs in at tayori to relay through it."""
    return tuple(name for name in MECHANISMS if name not in RELAY_LACKS[relay])


def reached(server: str) -> tuple[str, ...]:
    """The mechanisms by which our client side logs in at a server."""
    return tuple(name for name in MECHANISMS if name not in SERVER_LACKS[server])


def served(backend: str) -> tuple[str, ...]:
    """The mechanisms a back end serves, in the matrix's order."""
    return tuple(name for name in MECHANISMS if name not in BACKEND_LACKS[backend])


def clients(mechanism: str, backend: str) -> tuple[str, ...]:
    """The clients that try a mechanism with a back end."""
    have = (name for name in CLIENTS if mechanism not in CLIENT_LACKS[name])
    return tuple(name for name in have if (name, backend, mechanism) not in FIELD_LACKS)


def refused_client(backend: str, mechanism: str) -> str:
    """The client that tries a wrong secret in a field, another one in each field beside it; "" for none."""
    names, column = clients(mechanism, backend), MECHANISMS.index(mechanism)
    if not names or (backend in SLOW_REFUSALS and mechanism != served(backend)[0]):
        return ""
    return names[(column + list(BACKENDS).index(backend)) % len(names)]


def table() -> str:
    """The page's part: who got in by which mechanism with which back end, and the reasons of empty fields."""
    letters = dict(zip(CLIENTS, "GCWPUM", strict=True))
    lines = ["Clients, each of which logged in wherever its letter stands:", ""]
    lines += [f"- **{letters[name]}** {text}" for name, text in CLIENTS.items()]
    lines.append("- **t** tayori's own client side, where no other client has the mechanism")
    lines += ["", "| back end | " + " | ".join(MECHANISMS) + " |", "|---" * (len(MECHANISMS) + 1) + "|"]
    notes: dict[str, int] = {}
    for backend, text in BACKENDS.items():
        cells = []
        for mechanism in MECHANISMS:
            why = BACKEND_LACKS[backend].get(mechanism)
            if why:
                cells.append(f"[{notes.setdefault(why, len(notes) + 1)}]")
            else:
                cells.append("".join(letters[name] for name in clients(mechanism, backend)) or "t")
        lines.append(f"| {text} | " + " | ".join(cells) + " |")
    lines += ["", "Empty because:", ""]
    lines += [f"- [{number}] {why}" for why, number in notes.items()]
    lines += ["", "Letters that are missing everywhere:", ""]
    for name, lacks in CLIENT_LACKS.items():
        by_why: dict[str, list[str]] = {}
        for mechanism, why in lacks.items():
            by_why.setdefault(why, []).append(mechanism)
        lines += [f"- **{letters[name]}** {', '.join(names)}: {why}" for why, names in by_why.items()]
    lines += ["", "And in one field:", ""]
    lines += [f"- **{letters[n]}** {m} with {BACKENDS[b]}: {why}" for (n, b, m), why in FIELD_LACKS.items()]
    own = yes_table(
        "tayori as client (delivery by SMTP, `smtp_sasl_password_maps`):", "server", SERVERS, SERVER_LACKS
    )
    others = yes_table("Servers that relay through tayori and log in for it:", "relay", RELAYS, RELAY_LACKS)
    return "\n".join([*lines, "", *own, "", *others]) + "\n"


def yes_table(title: str, head: str, rows: dict[str, str], lacks: dict[str, dict[str, str]]) -> list[str]:
    """Rows of which each field was tried, with the right secret and a wrong one, or has a reason."""
    lines = [title, "", f"| {head} | " + " | ".join(MECHANISMS) + " |", "|---" * (len(MECHANISMS) + 1) + "|"]
    notes: dict[str, int] = {}
    for name, text in rows.items():
        cells = []
        for mechanism in MECHANISMS:
            why = lacks[name].get(mechanism)
            cells.append(f"[{notes.setdefault(why, len(notes) + 1)}]" if why else "yes")
        lines.append(f"| {text} | " + " | ".join(cells) + " |")
    return [*lines, "", "Empty because:", "", *(f"- [{number}] {why}" for why, number in notes.items())]


def page(old: str) -> str:
    """The whole page with its matrix made anew."""
    head, _, rest = old.partition(BEGIN)
    return head + BEGIN + "\n" + table() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
