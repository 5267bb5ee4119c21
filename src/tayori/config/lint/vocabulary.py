"""The words of the restriction language, of table types, master.cf programs and SASL: what `check` knows.

Sources: postconf(5), SMTPD_ACCESS_README, DATABASE_README, master(5), saslauthd and Cyrus options.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# What follows a restriction: nothing, a table, a domain, a service, a number of seconds, another restriction.
NONE, TABLE, DOMAIN, SERVICE, NUMBER, RESTRICTION = "", "table", "domain", "service", "number", "restriction"

_PLAIN = """permit reject defer defer_if_permit defer_if_reject reject_plaintext_session permit_mynetworks
permit_sasl_authenticated permit_inet_interfaces permit_tls_clientcerts permit_tls_all_clientcerts
reject_unknown_client_hostname reject_unknown_reverse_client_hostname reject_unknown_forward_client_hostname
reject_unauth_pipelining reject_invalid_helo_hostname reject_non_fqdn_helo_hostname reject_unknown_helo_hostname
reject_non_fqdn_sender reject_unknown_sender_domain reject_unlisted_sender reject_sender_login_mismatch
reject_authenticated_sender_login_mismatch reject_unauthenticated_sender_login_mismatch
reject_known_sender_login_mismatch reject_unverified_sender permit_auth_destination reject_unauth_destination
defer_unauth_destination permit_mx_backup reject_non_fqdn_recipient reject_unknown_recipient_domain
reject_unlisted_recipient reject_unverified_recipient reject_multi_recipient_bounce"""
_DOMAIN = """permit_dnswl_client permit_rhswl_client reject_rbl_client reject_rhsbl_client reject_rhsbl_reverse_client
reject_rhsbl_helo reject_rhsbl_sender reject_rhsbl_recipient"""
_ACCESS = """client helo sender recipient ccert sasl etrn reverse_client_hostname"""
_BY_DNS = """client helo sender recipient reverse_client_hostname"""

RESTRICTIONS: dict[str, str] = {
    **dict.fromkeys(_PLAIN.split(), NONE),
    **dict.fromkeys(_DOMAIN.split(), DOMAIN),
    **{f"check_{what}_access": TABLE for what in _ACCESS.split()},
    **{f"check_{what}_{record}_access": TABLE for what in _BY_DNS.split() for record in ("a", "mx", "ns")},
    "check_policy_service": SERVICE,
    "sleep": NUMBER,
    "warn_if_reject": RESTRICTION,
}
# Old spellings and what they are now; those without a new word keep their meaning by themselves.
OLD_RESTRICTIONS: dict[str, str] = {
    "reject_unknown_client": "reject_unknown_client_hostname",
    "reject_invalid_hostname": "reject_invalid_helo_hostname",
    "reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
    "reject_unknown_hostname": "reject_unknown_helo_hostname",
    "reject_unknown_address": "reject_unknown_sender_domain",
    "reject_rbl": "reject_rbl_client",
    "reject_maps_rbl": "reject_rbl_client",
    "check_relay_domains": "reject_unauth_destination",
    "check_recipient_maps": "reject_unlisted_recipient",
    "permit_naked_ip_address": "permit_mynetworks",
    "check_address_map": "check_client_access",
}
OLD_WITH_ARGUMENT = {"reject_rbl": DOMAIN, "check_address_map": TABLE}

# Table types; the text says why one is not supported ("" = supported).
TABLE_TYPES: dict[str, str] = {
    **dict.fromkeys(
        [
            "hash",
            "btree",
            "dbm",
            "lmdb",
            "cdb",
            "texthash",
            "regexp",
            "pcre",
            "cidr",
            "inline",
            "static",
            "unix",
            "fail",
            "proxy",
            "sqlite",
            "unionmap",
            "pipemap",
            "randmap",
            "environ",
            "sdbm",
            "socketmap",
            "tcp",
            "mysql",
            "pgsql",
            "ldap",
            "memcache",
        ],
        "",
    ),
    "debug": "it only logs look-ups; name the table behind it",
    "internal": "it exists only inside one Postfix process",
    "mongodb": "no library for it is built in; use pgsql, mysql or a socketmap server",
    "nis": "NIS is not supported; export the map to a text file and use hash",
    "nisplus": "NIS+ no longer exists; export the map to a text file and use hash",
    "netinfo": "NetInfo no longer exists; use hash",
}
# Types whose name is the path of a text file or database file.
FILE_TYPES = frozenset(
    ("hash", "btree", "dbm", "lmdb", "cdb", "sdbm", "texthash", "regexp", "pcre", "cidr", "sqlite")
)
LISTED_TYPES = frozenset(("unionmap", "pipemap", "randmap"))

# master.cf programs: "" runs here, else why there is nothing to run.
_INTERNAL = "its work is part of the one program here"
PROGRAMS: dict[str, str] = {
    **dict.fromkeys(
        [
            "smtpd",
            "smtp",
            "lmtp",
            "relay",
            "local",
            "virtual",
            "pipe",
            "error",
            "discard",
            "bounce",
            "postscreen",
            "spawn",
        ],
        "",
    ),
    **dict.fromkeys(
        [
            "anvil",
            "cleanup",
            "dnsblog",
            "flush",
            "nbdb_reindexd",
            "oqmgr",
            "pickup",
            "postlogd",
            "proxymap",
            "qmgr",
            "scache",
            "showq",
            "tlsmgr",
            "tlsproxy",
            "trivial-rewrite",
            "verify",
        ],
        _INTERNAL,
    ),
    "qmqpd": "QMQP is not supported",
}
TRANSPORTS = frozenset(["local", "virtual", "smtp", "relay", "lmtp", "error", "retry", "discard"])

MECHANISMS = frozenset(
    [
        "PLAIN",
        "LOGIN",
        "CRAM-MD5",
        "DIGEST-MD5",
        "SCRAM-SHA-1",
        "SCRAM-SHA-224",
        "SCRAM-SHA-256",
        "SCRAM-SHA-384",
        "SCRAM-SHA-512",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-224-PLUS",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-384-PLUS",
        "SCRAM-SHA-512-PLUS",
        "EXTERNAL",
        "OAUTHBEARER",
        "XOAUTH2",
        "ANONYMOUS",
        "GSSAPI",
        "GS2-KRB5",
        "GS2-IAKERB",
        "GSS-SPNEGO",
        "NTLM",
        "OTP",
        "SRP",
        "PASSDSS-3DES-1",
        "KERBEROS_V4",
    ]
)
PWCHECK_METHODS = (
    "saslauthd", "auxprop", "auxprop-hashed", "alwaystrue", "accounts", "tayori", "passwd-file", "ldap", "rimap",
    "httpform", "oauth",
)  # fmt: skip


def close_to(word: str, words: Iterable[str], cutoff: float = 0.8) -> str:
    """The likeliest meant word, or "". Swapped, doubled and missing letters are near; so is a lost plural s."""
    found = difflib.get_close_matches(word, list(words), 1, cutoff)
    return found[0] if found else ""


def split_table(text: str) -> tuple[str, str]:
    """`type:name` with `proxy:` taken off; the type is empty for a plain word or an absolute path."""
    while text.startswith("proxy:"):
        text = text[6:]
    kind, colon, name = text.partition(":")
    return (kind, name) if colon and "/" not in kind and "[" not in kind else ("", text)
