"""Dialogues whose replies were read off a real Postfix 3.7: settings, commands, and what each is answered.

A case is (name, settings, dialogues, log lines that must appear). `EXPECT` "250" stands for any yes. The unit test
runs them against Policy, tests/interop/policy runs the same against the real Postfix.
"""

from __future__ import annotations

from typing import NamedTuple

STRANGER = "XCLIENT NAME=host.ex.org ADDR=192.0.2.9"
Dialogue = list[tuple[str, str]]


class Case(NamedTuple):
    """One configuration and what it answers."""

    name: str
    settings: dict[str, str]
    dialogues: list[Dialogue]
    log: tuple[str, ...] = ()


def rcpt(*pairs: tuple[str, str], sender: str = "a@b", helo: str = "x", client: str = STRANGER) -> Dialogue:
    """A stranger's dialogue up to some RCPT TOs."""
    start = [(client, ""), (f"EHLO {helo}", "250"), (f"MAIL FROM:<{sender}>", "250")]
    return start + [(f"RCPT TO:<{address}>", reply) for address, reply in pairs]


UNKNOWN = "550 5.1.1 <{0}>: Recipient address rejected: User unknown in {1} table"
DENIED = "554 5.7.1 <{0}>: Relay access denied"
DENIED4 = "454 4.7.1 <{0}>: Relay access denied"
ACCESS = "554 5.7.1 <{0}>: {1} rejected: Access denied"
OLD = {"compatibility_level": "0", "smtpd_recipient_restrictions": "permit_mynetworks, reject_unauth_destination"}

FOREIGN = (
    "a@foreign.example",
    "a%foreign.example@example.com",
    "foreign.example!a@example.com",
    "a%b@relay.example",
    "b!a@relay.example",
    "a%b@va.example",
    "a!b@va.example",
    "a@[192.0.2.1]",
    "a%foreign.example",
    "a%b%relay.example@example.com",
)


def conf(recipient: str = "", **more: str) -> dict[str, str]:
    """Settings with one recipient list."""
    return {"smtpd_recipient_restrictions": recipient, **more} if recipient else more


def postponed(which: str, who: str = "Recipient address", name: str = "") -> list[Dialogue]:
    """Every known and unknown recipient gets the postponed reply; a foreign one is refused before."""
    text = "450 4.7.0 <{0}>: " + who + " rejected: " + which + " requested"
    names = ("u@example.com", "nobody@example.com", "u", "q", "n@va.example")
    return [
        rcpt(
            *((r, text.format(name or r)) for r in names),
            ("postmaster", "250"),
            ("f@foreign.example", DENIED4.format("f@foreign.example")),
        )
    ]


def line(kind: str, text: str, sender: str) -> str:
    """A log line of a stranger's RCPT TO:<u@example.com>."""
    return (
        f"NOQUEUE: {kind}: RCPT from host.ex.org[192.0.2.9]: {text};"
        f" from=<{sender}> to=<u@example.com> proto=ESMTP helo=<x>"
    )


CASES = [
    Case(
        "level 0, a stranger relays",
        OLD,
        [rcpt(*((r, DENIED.format(r)) for r in FOREIGN), ("u@example.com", "250"), ("u@example.com.", "250"))],
        (
            "NOQUEUE: reject: RCPT from host.ex.org[192.0.2.9]: 554 5.7.1 <a@foreign.example>: Relay access denied;"
            " from=<a@b> to=<a@foreign.example> proto=ESMTP helo=<x>",
        ),
    ),
    Case(
        "level 3.6, a stranger relays",
        {},
        [rcpt(*((r, DENIED4.format(r)) for r in FOREIGN), ("x@relay.example", "250"), ("u", "250"))],
    ),
    Case(
        "unlisted",
        {},
        [
            rcpt(
                ("nobody@example.com", UNKNOWN.format("nobody@example.com", "local recipient")),
                ("q", UNKNOWN.format("q", "local recipient")),
                ("n@va.example", UNKNOWN.format("n@va.example", "virtual alias")),
                ("postmaster", "250"),
            )
        ],
    ),
    Case("defer_if_reject", conf("defer_if_reject, reject"), postponed("defer_if_reject")),
    Case("defer_if_permit", conf("defer_if_permit, permit"), postponed("defer_if_permit")),
    Case("both postponed", conf("defer_if_permit, defer_if_reject, reject"), postponed("defer_if_permit")),
    Case(
        "defer_if_reject reaches from the relay list into the recipient list",
        conf("reject", smtpd_relay_restrictions="defer_if_reject, permit"),
        [
            rcpt(
                (
                    "f@foreign.example",
                    "450 4.7.0 <f@foreign.example>: Recipient address rejected: defer_if_reject requested",
                )
            )
        ],
    ),
    Case(
        "defer_if_reject ends with its stage",
        conf("reject", smtpd_sender_restrictions="defer_if_reject, permit"),
        [rcpt(("u@example.com", ACCESS.format("u@example.com", "Recipient address")))],
    ),
    Case(
        "defer_if_permit of the sender list",
        {"smtpd_sender_restrictions": "defer_if_permit, permit"},
        postponed("defer_if_permit", "Sender address", "a@b"),
    ),
    Case(
        "warn_if_reject",
        conf("warn_if_reject reject, warn_if_reject defer_if_permit, permit"),
        [rcpt(("u@example.com", "250"), ("q", UNKNOWN.format("q", "local recipient")))],
        (
            "NOQUEUE: reject_warning: RCPT from host.ex.org[192.0.2.9]: 554 5.7.1 <u@example.com>: Recipient address"
            " rejected: Access denied; from=<a@b> to=<u@example.com> proto=ESMTP helo=<x>",
        ),
    ),
    Case(
        "non_fqdn addresses",
        conf("reject_non_fqdn_recipient, reject_non_fqdn_sender"),
        [
            rcpt(
                ("u@example.com", "504 5.5.2 <a@b>: Sender address rejected: need fully-qualified address"),
                ("u", "504 5.5.2 <u>: Recipient address rejected: need fully-qualified address"),
            )
        ],
    ),
    Case(
        "non_fqdn helo",
        conf("reject_non_fqdn_helo_hostname"),
        [
            rcpt(("u@example.com", "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname")),
            rcpt(("u@example.com", "250"), helo="a.b"),
            rcpt(("u@example.com", "250"), helo="[192.0.2.1]"),
        ],
    ),
    Case(
        "invalid helo",
        conf("reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname"),
        [
            *(rcpt(("u@example.com", "250"), helo=h) for h in ("[1.2.3.4]", "a_b.c", "[IPv6:::1]", "a.b.", "a.123")),
            *(
                rcpt(("u@example.com", f"501 5.5.2 <{h}>: Helo command rejected: Invalid name"), helo=h)
                for h in ("-a.b", "a..b", "#1", "x" * 70 + ".a")
            ),
            rcpt(("u@example.com", "501 5.5.2 <[1.2.3]>: Helo command rejected: invalid ip address"), helo="[1.2.3]"),
            rcpt(
                ("u@example.com", "504 5.5.2 <1.2.3.4>: Helo command rejected: need fully-qualified hostname"),
                helo="1.2.3.4",
            ),
        ],
    ),
    Case(
        "plaintext",
        conf("reject_plaintext_session"),
        [rcpt(("u@example.com", "450 4.7.1 Session encryption is required"))],
    ),
    Case(
        "client refused at RCPT, VRFY and ETRN; postmaster never",
        {"smtpd_client_restrictions": "reject"},
        [
            rcpt(
                ("u@example.com", ACCESS.format("host.ex.org[192.0.2.9]", "Client host")),
                ("PostMaster", "250"),
                ("postmaster@example.com", ACCESS.format("host.ex.org[192.0.2.9]", "Client host")),
            ),
            [
                (STRANGER, ""),
                ("EHLO x", "250"),
                ("VRFY u@example.com", ACCESS.format("host.ex.org[192.0.2.9]", "Client host")),
                ("ETRN foo.bar", ACCESS.format("host.ex.org[192.0.2.9]", "Client host")),
            ],
        ],
        (
            "NOQUEUE: reject: VRFY from host.ex.org[192.0.2.9]: 554 5.7.1 <host.ex.org[192.0.2.9]>: Client host"
            " rejected: Access denied; to=<u@example.com> proto=ESMTP helo=<x>",
            "NOQUEUE: reject: ETRN from host.ex.org[192.0.2.9]: 554 5.7.1 <host.ex.org[192.0.2.9]>: Client host"
            " rejected: Access denied; proto=ESMTP helo=<x>",
        ),
    ),
    Case(
        "etrn",
        {"smtpd_etrn_restrictions": "reject"},
        [[(STRANGER, ""), ("EHLO x", "250"), ("ETRN foo.bar", ACCESS.format("foo.bar", "Etrn command"))]],
    ),
    Case(
        "helo at its stage",
        {"smtpd_helo_restrictions": "reject", "smtpd_delay_reject": "no"},
        [
            [
                (STRANGER, ""),
                ("EHLO x", ACCESS.format("x", "Helo command")),
                ("HELO y", ACCESS.format("y", "Helo command")),
            ]
        ],
        (
            "NOQUEUE: reject: EHLO from host.ex.org[192.0.2.9]: 554 5.7.1 <x>: Helo command rejected: Access denied;"
            " proto=SMTP helo=<x>",
            "NOQUEUE: reject: HELO from host.ex.org[192.0.2.9]: 554 5.7.1 <y>: Helo command rejected: Access denied;"
            " proto=SMTP helo=<y>",
        ),
    ),
    Case(
        "unlisted senders at their stage",
        {"smtpd_reject_unlisted_sender": "yes", "smtpd_delay_reject": "no"},
        [
            [
                (STRANGER, ""),
                ("EHLO x", "250"),
                (
                    "MAIL FROM:<zz@example.com>",
                    "550 5.1.0 <zz@example.com>: Sender address rejected: User unknown in local recipient table",
                ),
                (
                    "MAIL FROM:<zz@va.example>",
                    "550 5.1.7 <zz@va.example>: Sender address rejected: User unknown in virtual alias table",
                ),
                ("MAIL FROM:<>", "250"),
            ]
        ],
        (
            "NOQUEUE: reject: MAIL from host.ex.org[192.0.2.9]: 550 5.1.0 <zz@example.com>: Sender address rejected:"
            " User unknown in local recipient table; from=<zz@example.com> proto=ESMTP helo=<x>",
        ),
    ),
    Case(
        "defer_if_permit crosses stages that are not delayed",
        {
            "smtpd_client_restrictions": "defer_if_permit",
            "smtpd_helo_restrictions": "defer_if_reject, reject_non_fqdn_helo_hostname",
            "smtpd_delay_reject": "no",
        },
        [
            rcpt(
                (
                    "u@example.com",
                    "450 4.7.0 <host.ex.org[192.0.2.9]>: Client host rejected: defer_if_permit requested",
                ),
                ("f@foreign.example", DENIED4.format("f@foreign.example")),
                helo=helo,
            )
            for helo in ("x", "h.x")
        ],
    ),
    Case(
        "data",
        {"smtpd_data_restrictions": "defer"},
        [
            [
                *rcpt(("u@example.com", "250"), sender="u@example.com"),
                ("DATA", "450 4.3.2 <DATA>: Data command rejected: Try again later"),
            ]
        ],
    ),
    Case(
        "end of data",
        {"smtpd_end_of_data_restrictions": "reject"},
        [
            [
                *rcpt(("u@example.com", "250"), sender="u@example.com"),
                ("DATA", "250"),
                (".", "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied"),
            ]
        ],
    ),
]
