"""More dialogues as in policy_cases: access(5) tables, logins, restriction classes, enhanced codes."""

from __future__ import annotations

from support.policy_cases import ACCESS, DENIED, STRANGER, Case, conf, line, rcpt

ACTION_REPLIES = (
    ("REJECT", "554 5.7.1 {0}: Access denied"),
    ("REJECT foo bar", "554 5.7.1 {0}: foo bar"),
    ("REJECT 5.1.1 foo", "554 5.1.7 {0}: foo"),
    ("DEFER", "450 4.7.1 {0}: Access denied"),
    ("DEFER later", "450 4.7.1 {0}: later"),
    ("DEFER_IF_REJECT", "250"),
    ("DEFER_IF_PERMIT", "450 4.7.1 {0}: Service unavailable"),
    ("DEFER_IF_PERMIT 4.2.1 t", "450 4.2.1 {0}: t"),
    ("550", "250"),
    ("554 text", "554 5.7.1 {0}: text"),
    ("12345", "250"),
    ("DUNNO", "250"),
    ("HOLD", "250"),
    ("HOLD why", "250"),
    ("DISCARD", "250"),
    ("FILTER smtp:[1.2.3.4]", "250"),
    ("REDIRECT r@example.com", "250"),
    ("BCC b@example.com", "250"),
    ("PREPEND X-Y: z", "250"),
    ("INFO i t", "250"),
    ("WARN", "250"),
    ("nosuch thing", "451 4.3.5 Server configuration error"),
    ("reject_unauth_destination, reject_non_fqdn_recipient", "250"),
    ("warn_if_reject reject", "250"),
    ("599 x", "599 5.7.1 {0}: x"),
    ("600 x", "451 4.3.5 Server configuration error"),
    ("421 go", "421 4.7.1 {0}: go"),
    ("521 away", "521 5.7.1 {0}: away"),
    ("450 5.7.1 text", "450 4.7.1 {0}: text"),
    ("REJECT 4.7.1 x", "554 5.7.1 {0}: x"),
    ("FILTER smtp", "250"),
    ("ok", "250"),
    ("reject foo", "554 5.7.1 {0}: foo"),
)
ACTIONS = "inline:{" + ",".join(f"{{a{n}@x.y={a}}}" for n, (a, _) in enumerate(ACTION_REPLIES)) + "}"
KEY_HIT = "554 5.7.1 <U+e@D.c.b.a>: Sender address rejected: k"
MISMATCH = "553 5.7.1 <{0}>: Sender address rejected: {1}"
OLD_RELAY = {"smtpd_relay_restrictions": "reject_unauth_destination", "local_recipient_maps": "static:all"}
DETAILS = tuple(f"1.{n}" for n in range(9))
DSN_TABLE = (
    "inline:{"
    + ",".join(
        f"{{{key}=550 5.{detail} t}}"
        for n, detail in enumerate(DETAILS)
        for key in (f"d{n}@x.y", f"d{n}@example.com", f"d{n}")
    )
    + "}"
)
DSN_REPLIES = {
    "sender": [
        f"550 5.{detail} <d{n}@x.y>: Sender address rejected: t"
        for n, detail in enumerate(("1.0", "1.7", "1.8", "1.7", "1.7", "1.0", "1.7", "1.7", "1.8"))
    ],
    "recipient": [
        f"550 5.{detail} <d{n}@example.com>: Recipient address rejected: t"
        for n, detail in enumerate(("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.3", "1.2"))
    ],
    "helo": [f"550 5.0.0 <d{n}>: Helo command rejected: t" for n in range(9)],
}

ACCESS_CASES = [
    Case(
        "access actions",
        {"smtpd_sender_restrictions": "check_sender_access " + ACTIONS},
        [
            rcpt(("u@example.com", reply.format(f"<a{n}@x.y>: Sender address rejected")), sender=f"a{n}@x.y")
            for n, (_, reply) in enumerate(ACTION_REPLIES)
        ],
        (
            line("hold", "<a12@x.y>: Sender address triggers HOLD action", "a12@x.y"),
            line("hold", "<a13@x.y>: Sender address why", "a13@x.y"),
            line("discard", "<a14@x.y>: Sender address triggers DISCARD action", "a14@x.y"),
            line("filter", "<a15@x.y>: Sender address triggers FILTER smtp:[1.2.3.4]", "a15@x.y"),
            line("redirect", "<a16@x.y>: Sender address triggers REDIRECT r@example.com", "a16@x.y"),
            line("bcc", "<a17@x.y>: Sender address triggers BCC b@example.com", "a17@x.y"),
            line("info", "i t", "a19@x.y"),
            line("warn", "", "a20@x.y"),
            line("reject_warning", "554 5.7.1 <a23@x.y>: Sender address rejected: Access denied", "a23@x.y"),
        ),
    ),
    Case(
        "DEFER_IF_REJECT and a restriction in a table",
        {"smtpd_relay_restrictions": "check_sender_access " + ACTIONS + ", reject_unauth_destination"},
        [
            rcpt(
                ("u@example.com", "250"),
                ("f@for.eign", "450 4.7.1 <a5@x.y>: Sender address rejected: Service unavailable"),
                sender="a5@x.y",
            ),
            rcpt(("f@for.eign", DENIED.format("f@for.eign")), sender="a22@x.y"),
        ],
    ),
    *(
        Case(
            f"sender key {key} {parents or 'default'}",
            {
                "smtpd_sender_restrictions": "check_sender_access inline:{{" + key + "=REJECT k}}",
                "recipient_delimiter": "+",
                **({"parent_domain_matches_subdomains": ""} if parents else {}),
            },
            [rcpt(("u@example.com", KEY_HIT if hit else "250"), sender="U+e@D.c.b.a")],
        )
        for key, parents, hit in (
            ("u+e@d.c.b.a", "", True),
            ("u@d.c.b.a", "", True),
            ("d.c.b.a", "", True),
            ("c.b.a", "", True),
            ("a", "", True),
            (".c.b.a", "", False),
            ("u+e@", "", True),
            ("u@", "", True),
            (".c.b.a", "none", True),
            ("c.b.a", "none", False),
        )
    ),
    *(
        Case(
            f"client key {key}",
            {"smtpd_client_restrictions": "check_client_access inline:{{" + key + "=REJECT k}}"},
            [
                rcpt(
                    ("u@example.com", f"554 5.7.1 <{who}>: Client host rejected: k" if hit else "250"), client=client
                )
                for client, who, hit in (
                    (STRANGER, "host.ex.org[192.0.2.9]", four),
                    ("XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::9", "unknown[2001:db8::9]", six),
                )
            ],
        )
        for key, four, six in (
            ("host.ex.org", True, False),
            ("ex.org", True, False),
            (".ex.org", False, False),
            ("192.0.2.9", True, False),
            ("192.0", True, False),
            ("unknown", False, True),
            ("2001:db8::9", False, True),
            ("2001:db8", False, True),
            ("2001", False, True),
        )
    ),
    Case(
        "null sender key, helo key, a table that fails",
        {
            "smtpd_sender_restrictions": "check_sender_access inline:{{<>=REJECT null}},"
            " check_helo_access inline:{{x=OK}}, reject",
            "smtpd_data_restrictions": "check_sender_access fail:x",
        },
        [
            rcpt(("u@example.com", "554 5.7.1 <>: Sender address rejected: null"), sender=""),
            [
                *rcpt(("u@example.com", "250"), sender="q@x.y"),
                ("DATA", "451 4.3.5 <q@x.y>: Sender address rejected: Server configuration error"),
            ],
        ],
    ),
    Case(
        "unknown client names",
        {"smtpd_client_restrictions": "reject_unknown_client_hostname", "unknown_client_reject_code": "550"},
        [
            rcpt(
                ("u@example.com", f"{code}.7.25 Client host rejected: cannot find your hostname, [192.0.2.8]"),
                client=f"XCLIENT NAME={name} ADDR=192.0.2.8",
            )
            for name, code in (("[UNAVAILABLE]", "550 5"), ("[TEMPUNAVAIL]", "450 4"))
        ],
    ),
    Case(
        "bounces to many",
        conf("reject_multi_recipient_bounce"),
        [
            rcpt(
                ("u@example.com", "250"),
                ("v@example.com", "550 5.5.3 <v@example.com>: Recipient address rejected: Multi-recipient bounce"),
                sender="",
            )
        ],
    ),
    Case(
        "unlisted senders of other classes",
        {
            "smtpd_sender_restrictions": "reject_unlisted_sender",
            "virtual_mailbox_domains": "vm.example",
            "virtual_mailbox_maps": "inline:{a=b}",
            "relay_recipient_maps": "inline:{a=b}",
        },
        [
            rcpt(
                ("u@example.com", f"550 5.1.0 <{who}>: Sender address rejected: User unknown in {table} table"),
                sender=who,
            )
            for who, table in (("q@relay.example", "relay recipient"), ("q@vm.example", "virtual mailbox"))
        ],
    ),
    Case(
        "login and sender",
        conf(
            "reject_sender_login_mismatch, reject_known_sender_login_mismatch, permit_sasl_authenticated, reject",
            smtpd_relay_restrictions="permit_sasl_authenticated, reject_unauth_destination",
            smtpd_sender_login_maps="inline:{o@example.com=own}",
            smtpd_sasl_auth_enable="yes",
        ),
        [
            rcpt((to, reply), sender=sender, client=STRANGER + login)
            for login, sender, to, reply in (
                ("", "o@example.com", "u@example.com", MISMATCH.format("o@example.com", "not logged in")),
                ("", "z@example.com", "u@example.com", ACCESS.format("u@example.com", "Recipient address")),
                (
                    " LOGIN=me",
                    "o@example.com",
                    "f@for.eign",
                    MISMATCH.format("o@example.com", "not owned by user me"),
                ),
                (
                    " LOGIN=me",
                    "z@example.com",
                    "f@for.eign",
                    MISMATCH.format("z@example.com", "not owned by user me"),
                ),
                (" LOGIN=own", "o@example.com", "f@for.eign", "250"),
            )
        ],
    ),
    Case(
        "login access",
        conf(
            "permit_sasl_authenticated, reject",
            smtpd_relay_restrictions="check_sasl_access inline:{{me=REJECT q}}, permit_sasl_authenticated, reject",
            smtpd_sasl_auth_enable="yes",
        ),
        [
            rcpt(("f@for.eign", "554 5.7.1 <me>: SASL login name rejected: q"), client=STRANGER + " LOGIN=me"),
            rcpt(("f@for.eign", "250"), client=STRANGER + " LOGIN=own"),
        ],
    ),
    Case(
        "permits are logged",
        conf(
            "permit_auth_destination",
            smtpd_relay_restrictions="permit_auth_destination, reject",
            smtpd_log_access_permit_actions="permit_auth_destination",
        ),
        [rcpt(("u@example.com", "250"))],
        (line("permit", "action=permit_auth_destination for Recipient address=u@example.com ", "a@b"),),
    ),
    Case(
        "restriction classes",
        {
            "smtpd_restriction_classes": "strict, lax",
            "strict": "check_sender_access inline:{{s@x.y=REJECT strict}}",
            "lax": "permit",
            "smtpd_sender_restrictions": "warn_if_reject strict, lax, reject",
        },
        [rcpt(("u@example.com", "250"), sender="s@x.y"), rcpt(("u@example.com", "250"), sender="t@x.y")],
        (line("reject_warning", "554 5.7.1 <s@x.y>: Sender address rejected: strict", "s@x.y"),),
    ),
    *(
        Case(
            f"enhanced codes of {kind}",
            {f"smtpd_{kind}_restrictions": f"check_{kind}_access " + DSN_TABLE, **OLD_RELAY},
            [
                rcpt(
                    (f"d{n}@example.com" if kind == "recipient" else "u@example.com", reply),
                    sender=f"d{n}@x.y" if kind == "sender" else "a@b",
                    helo=f"d{n}" if kind == "helo" else "x",
                )
                for n, reply in enumerate(replies)
            ],
        )
        for kind, replies in DSN_REPLIES.items()
    ),
]
