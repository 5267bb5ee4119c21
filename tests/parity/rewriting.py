"""Rounds of tests/parity/differential.py --maps: dense rewriting, every map at once, from the envelope to the mailbox.

On purpose otherwise, and left out here: a pattern of sender_canonical_maps such as /.+/ fits the null sender in Postfix,
which it asks for as `""` (a bounce would be answered by a bounce); an owner-alias of several addresses is one sender
with commas in quotes in Postfix (expand_owner_alias); NOTIFY=SUCCESS for an alias: Postfix reports "expanded" once, tayori
each delivery. Many rounds still differ in the log's orig_to= of what went through .forward and in the order of reports.
"""

from __future__ import annotations

from differential import Maker

SENDERS = [
    "alice@example.com",
    "bob+s@example.com",
    "f@foreign.example",
    "Out+X@Foreign.example",
    "",
    "list@virt.example",
    "g@sub.other.example",
    "nobody1@example.com",
]
RECIPIENTS = [
    "alice@example.com", "alice+ext@example.com", "Bob@Example.com", "bob", "carol+a+b@example.com", "carol@localhost.example.com", "dave-x@example.com",
    "nobody1@example.com", "nobody1+e@example.com", "team@example.com", "team+ext@example.com", "prog@example.com", "file@example.com", "incl@example.com",
    "own@example.com", "own+x@example.com", "nest@example.com", "v@virt.example", "v+e@virt.example", "V@VIRT.example", "two@virt.example", "deep@virt.example",
    "any@virt.example", "any+e@virt.example", "many@virt.example", "f@foreign.example", "f+e@foreign.example", "g@other.example", "gone@example.com",
    "gone+e@example.com", "o.ne@old.example", "o.ne+e@old.example", "x@sub.old.example", "m@vbox.example", "m+e@vbox.example", "long" * 9 + "@virt.example",
    '"a b"@example.com', '"v w"@virt.example', "postmaster", "postmaster@example.com", "owner-own@example.com", "self@virt.example", "+@example.com", "alice+@example.com",
]  # fmt: skip
CANONICAL = ["alice@example.com a.lice@public.example", "a.lice@public.example alice@example.com", "bob bobby@example.com", "bobby@example.com bob@example.com", "@old.example @example.com",
             "o.ne@old.example alice@example.com", "o.ne+e@old.example bob+over@example.com", "f@foreign.example ff@foreign.example", "@sub.other.example @other.example",
             "carol@example.com carol+canon@example.com", "out carol", '"a b"@example.com a.b@example.com', "dave@ dave@old.example", "nobody1 team@example.com"]  # fmt: skip
VIRTUAL = ["v@virt.example alice@example.com", "two@virt.example bob@example.com, f@foreign.example", "deep@virt.example v@virt.example, two@virt.example", "@virt.example carol@example.com",
           "@virt.example @foreign.example", "many@virt.example alice@example.com bob@example.com carol@example.com dave@example.com f@foreign.example", "self@virt.example self@virt.example, bob@example.com",
           "alice alice, carol", "bob@example.com bob@example.com, f+copy@foreign.example", "team@example.com team", "f@foreign.example bob@example.com", "v+e@virt.example dave@example.com",
           "@old.example @virt.example", '"v w"@virt.example alice@example.com', "carol@example.com carol+virt@example.com", "loop1@virt.example deep@virt.example", "nobody1@example.com none@virt.example",
           "postmaster bob@example.com", "@foreign.example one@other.example", "any@virt.example alice+fix@example.com", "dave dave@foreign.example"]  # fmt: skip
PATTERNS = ["/^(.*)\\+(.*)@virt\\.example$/ $1@example.com", "/^(.)(.*)@old\\.example$/ $1.$2@foreign.example", "/^any(.*)@virt\\.example/ alice$1@example.com, bob@example.com",
            "/^(.*)@sub\\.(.*)$/ ${1}@$2", "/^f@(.*)$/ g+$1@other.example", "/nobody/ dave@example.com"]  # fmt: skip
GENERIC = ["alice@example.com out@public.example", "@example.com @public.example", "bob b.ob@public.example", "f@foreign.example ff@foreign.example", "@foreign.example @gen.example",
           "carol@ c@public.example", "g+gen@other.example gg@other.example"]  # fmt: skip
TRANSPORT = ["foreign.example error:5.1.2 no such domain", ".foreign.example discard:", "other.example smtp:[127.0.0.1]:@SINK@", "f@foreign.example discard:silent", "public.example error:nope",
             "f+e@foreign.example smtp:[127.0.0.1]:@SINK@", "alice@example.com error:4.2.1 no alice now", "example.com local:", "* smtp:[127.0.0.1]:@SINK@", "virt.example error:virt", "gen.example discard:",
             "g@ error:g is no key", "postmaster@example.com discard:"]  # fmt: skip
RELOCATED = [
    "gone@example.com new@foreign.example",
    "gone new place",
    "@old.example moved",
    "f@foreign.example elsewhere",
    "gone+e@example.com far away",
    "nobody1 was here",
]
BCC = ["alice@example.com carol@example.com", "@foreign.example dave", "bob bcc+bob@foreign.example", "@example.com bob+archive@example.com", "@virt.example f@foreign.example", "f@foreign.example alice+f@example.com",
       "alice+ext@example.com dave@example.com"]  # fmt: skip
ALIASES = ["team: alice, bob@example.com, f@foreign.example", "own: alice, carol", "owner-own: dave", "nest: team, own", "incl: :include:@/members", 'prog: "|cat >/dev/null"', 'prog: "|exit 69"',
           "file: @HOME@/dave/public/box", "postmaster: carol", "owner-team: bob", "alice: alice, dave", "bob: f@foreign.example", "dave: nobody2", "owner-incl: alice", "a b: carol",
           "team+ext: dave", "own: carol, own-sub", "own-sub: dave", "nobody1: alice+al"]  # fmt: skip
MEMBERS = [
    "alice",
    "bob@example.com, carol",
    "# note",
    "f@foreign.example",
    "dave (comment)",
    '"a b"@example.com',
    "team",
    "nobody2",
]
FORWARDS = ["f@foreign.example\n", "\\USER\n", "\\USER, f+fw@foreign.example\n", "nobody2@example.com\n", "@HOME@/USER/public/box\n", '"|cat >/dev/null"\n', "# nothing\n", "", "team@example.com\n", "\"|exit 75\"\n",
            "f@foreign.example,\n \\USER\n"]  # fmt: skip
AGENTS = ["error:no box", "error:4.3.1 busy", "smtp:[127.0.0.1]:@SINK@", "discard:", "virtual:"]


class Rewriter(Maker):
    """Rounds in which all maps are set at once."""

    def main(self) -> dict[str, str]:
        main: dict[str, str] = {"virtual_alias_domains": "virt.example", "smtpd_reject_unlisted_recipient": "no"}
        self.settings(main)
        self.envelope(main)
        self.local(main)
        return main

    def settings(self, main: dict[str, str]) -> None:
        """Parameters with few values."""
        parts = ["canonical", "virtual", "alias", "forward", "include", "generic"]
        choices = {
            "recipient_delimiter": ["+", "+", "+", "+-", "-", "."], "canonical_classes": ["envelope_sender, header_sender", "envelope_recipient", "header_recipient, envelope_recipient"],
            "propagate_unmatched_extensions": [", ".join(self.some(parts, 0, 6)) for _ in range(4)], "virtual_alias_expansion_limit": ["1000", "4", "2"],
            "virtual_alias_recursion_limit": ["1000", "2", "1"], "virtual_alias_address_length_limit": ["1000", "30"], "append_at_myorigin": ["yes", "no"],
            "append_dot_mydomain": ["yes", "no"], "myorigin": ["$mydomain", "$myhostname", "public.example"], "enable_original_recipient": ["yes", "no"],
            "masquerade_domains": ["example.com", "!localhost.example.com example.com", "foreign.example other.example"],
            "masquerade_classes": ["envelope_sender, header_sender", "envelope_recipient, header_recipient"], "masquerade_exceptions": ["bob", "root, g"],
            "expand_owner_alias": ["yes", "no"], "owner_request_special": ["yes", "no"], "reset_owner_alias": ["yes", "no"], "soft_bounce": ["no"],
            "allow_mail_to_commands": ["alias, forward", "alias", "alias, forward, include"], "allow_mail_to_files": ["alias, forward", "forward", "alias, forward, include"],
            "swap_bangpath": ["yes", "no"], "local_header_rewrite_clients": ["permit_mynetworks", "static:all", ""], "show_user_unknown_table_name": ["yes", "no"],
            "frozen_delivered_to": ["yes", "no"], "default_destination_recipient_limit": ["50", "2"], "prepend_delivered_header": ["command, file, forward", "command", "forward"],
            "forward_path": ["$home/.forward${recipient_delimiter}${extension}, $home/.forward"], "receive_override_options": ["", "no_address_mappings"],
        }  # fmt: skip
        for name, values in choices.items():
            if self.chance(35 if name != "recipient_delimiter" else 85):
                main[name] = self.dice.choice(values)
        if self.chance(90):
            main.pop("receive_override_options", None)

    def mapped(self, name: str, rows: list[str], patterns: list[str] | None = None) -> str:
        """One or two tables."""
        found = [self.table(name, self.some(rows, 2, 7))] if self.chance(85) or not patterns else []
        if patterns and (not found or self.chance(30)):
            kind = self.dice.choice(["regexp", "pcre"])
            (self.folder / f"{name}.re").write_text("".join(f"{row}\n" for row in self.some(patterns, 1, 3)))
            found.insert(self.dice.randint(0, len(found)), f"{kind}:@/{name}.re")
        return ", ".join(found)

    def envelope(self, main: dict[str, str]) -> None:
        """Maps of cleanup, of the resolver, of the queue manager and of smtp."""
        chance, choice = self.chance, self.dice.choice
        for name, percent in (
            ("canonical_maps", 40),
            ("sender_canonical_maps", 30),
            ("recipient_canonical_maps", 30),
        ):
            if chance(percent):
                main[name] = self.mapped(name, CANONICAL, PATTERNS)
        if chance(85):
            main["virtual_alias_maps"] = self.mapped("virtual", VIRTUAL, PATTERNS)
        if chance(45):
            main["smtp_generic_maps"] = self.mapped("generic", GENERIC, PATTERNS)
        if chance(25):
            main["relocated_maps"] = self.mapped("relocated", RELOCATED)
        if chance(35):
            main["transport_maps"] = self.mapped("transport", TRANSPORT)
        for name, percent in (("sender_bcc_maps", 25), ("recipient_bcc_maps", 30)):
            if chance(percent):
                main[name] = self.mapped(name, BCC)
        if chance(10):
            main["always_bcc"] = choice(["carol@example.com", "bob+all", "v@virt.example"])
        if chance(20):
            rows = [
                "alice@example.com [127.0.0.1]:@SINK@",
                "@foreign.example [127.0.0.1]:@SINK@",
                "<> [127.0.0.1]:@SINK@",
                "bob+s@example.com DUNNO",
            ]
            main["sender_dependent_relayhost_maps"] = self.mapped("senderrelay", rows)
        if chance(20):
            rows = [
                "alice@example.com error:not from alice",
                "@foreign.example smtp:[127.0.0.1]:@SINK@",
                "<> discard:",
                "bob@example.com DUNNO",
            ]
            main["sender_dependent_default_transport_maps"] = self.mapped("sendertransport", rows)
            if chance(50):
                main["relayhost"] = ""
                main["default_transport"] = "smtp:[127.0.0.1]:@SINK@"
        if chance(35):
            main["virtual_mailbox_domains"] = "vbox.example"
            main["virtual_mailbox_base"] = "@HOME@"
            main["virtual_mailbox_maps"] = self.table(
                "vbox",
                choice(
                    [
                        ["m@vbox.example vbox/m/"],
                        ["@vbox.example vbox/all/"],
                        ["m@vbox.example box", "m+e@vbox.example vbox/e/"],
                    ]
                ),
            )
            main["virtual_uid_maps"] = main["virtual_gid_maps"] = "static:@UID@"
            main["virtual_minimum_uid"] = "1"

    def local(self, main: dict[str, str]) -> None:
        """aliases(5), .forward, luser_relay and the transports of local(8)."""
        chance, choice = self.chance, self.dice.choice
        if chance(30):
            main["luser_relay"] = choice(
                [
                    "$user@foreign.example",
                    "bob+$extension",
                    "f+$local@foreign.example",
                    "carol",
                    "${user}${extension?+$extension}@other.example",
                    "$recipient@x.foreign.example",
                ]
            )
            main["local_recipient_maps"] = ""
        if chance(20):
            main[choice(["fallback_transport", "mailbox_transport"])] = choice(AGENTS[:4])
        for name in ("mailbox_transport_maps", "fallback_transport_maps"):
            if chance(20):
                main[name] = self.table(
                    name,
                    [
                        f"{user} {choice(AGENTS[:4])}"
                        for user in self.some(["alice", "bob", "carol", "nobody1", "nobody2"], 1, 3)
                    ],
                )
        for user in self.some(["alice", "bob", "carol", "dave"], 0, 2):
            home = self.folder / "home" / user
            (home / "public").mkdir(parents=True)
            (home / "public" / "keep").write_text("")
            for name in ["dot.forward", *(["dot.forward+ext"] if chance(30) else [])]:
                (home / name).write_text(choice(FORWARDS).replace("USER", user))
        (self.folder / "home" / "dave" / "public").mkdir(parents=True, exist_ok=True)
        (self.folder / "home" / "dave" / "public" / "keep").write_text("")
        (self.folder / "members").write_text("\n".join(self.some(MEMBERS, 1, 5)) + "\n")

    def aliases(self) -> str:
        rows = {row.partition(":")[0]: row for row in ["postmaster: carol", *self.some(ALIASES, 4, 12)]}
        return "\n".join(rows.values()) + "\n"

    def sessions(self) -> list[tuple[str, str]]:
        (self.folder / "aliases").write_text(self.aliases())
        steps: list[tuple[str, str]] = [("client", "connect"), ("line", "EHLO host.foreign.example")]
        for number in range(7):
            if number == 5:
                steps += [("line", "QUIT"), ("client", "stranger ADDR=203.0.113.9"), ("line", "EHLO x.example")]
            sender = self.dice.choice(SENDERS)
            steps.append(("line", f"MAIL FROM:<{sender}>"))
            for recipient in self.some(RECIPIENTS, 1, 3):
                steps.append(("line", f"RCPT TO:<{recipient}>"))
            header = [
                f"Subject: {number}",
                f"From: {self.dice.choice(SENDERS) or 'alice'}",
                "To: " + ", ".join(self.some(RECIPIENTS, 1, 3)),
            ]
            header += self.some(
                [
                    "Cc: Alice <alice+ext@example.com>, bob",
                    "Reply-To: carol@old.example",
                    "Sender: f@foreign.example",
                    "Resent-To: v@virt.example",
                    "Errors-To: out",
                ],
                0,
                2,
            )
            steps.append(
                (
                    "mail",
                    "\n".join(
                        [*header, "Message-Id: <1@x.example>", "Date: Tue, 24 Nov 2026 10:00:00 +0000", "", "text"]
                    ),
                )
            )
        steps.append(("line", "QUIT"))
        return steps
