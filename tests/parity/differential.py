"""Random configurations and sessions, played to tayori and to a real Postfix: where do they differ?

    .venv/bin/python tests/parity/differential.py [--rounds 50] [--seed 1] [--keep FOLDER]      (as root)

Each round makes one main.cf with tables (restrictions, access maps, classes, rewriting, address classes) and a dialogue
of some forty transactions from several clients, plays it to both servers and prints what differs: reply by reply, then
what became of the mail. A round is its seed: the same number gives the same round. What differs on purpose (see
differences.toml) is left out of the grammar. Not a test: what it finds becomes a scenario folder.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import itertools
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import scenario as sc
from support.postfix import PostfixRuns
from support.scenario_run import TayoriRuns

LOCAL = ["alice@example.com", "bob@example.com", "alice", "carol@localhost.example.com", "nobody1@example.com",
         "alice+box@example.com", "postmaster@example.com", "Alice@EXAMPLE.com", "al@example.com"]  # fmt: skip
RELAY = ["r@rel.example", "r@sub.rel.example", "known@rel.example", "x+y@rel.example"]
VIRTUAL = ["v@virt.example", "none@virt.example", "two@virt.example", "v+ext@virt.example", "deep@virt.example"]
MAILBOX = ["m@vbox.example", "none@vbox.example"]
FOREIGN = ["f@foreign.example", "f@sub.foreign.example", "g@other.example", "reject@foreign.example",
           "f@[192.0.2.7]", "f%foreign.example@example.com", "foreign.example!f@example.com", "f@nodot"]  # fmt: skip
ODD = ["", "alice@", "a b@example.com", '"a b"@example.com', '"alice"@example.com', "alice@example..com",
       "alice@-x.example", "a..b@example.com", ".a@example.com", "@one.example:alice@example.com", "alice@example.com.",
       "alice@[127.0.0.1]", "alice@[ipv6:::1]", "alice@127.0.0.1", "a@b@example.com", "alice@exa_mple.com", "-a@example.com",
       "alice@example.com ", "root", "f@foreign.example,g@other.example"]  # fmt: skip
CLIENTS = [
    "connect",
    "stranger ADDR=203.0.113.9",
    "stranger ADDR=203.0.113.9 NAME=host.foreign.example",
    "stranger ADDR=198.51.100.77 NAME=mail.sub.foreign.example",
    "stranger ADDR=198.51.100.77 NAME=dyn-77.isp.example REVERSE_NAME=dyn-77.isp.example",
    "stranger ADDR=192.0.2.5 NAME=[TEMPUNAVAIL] REVERSE_NAME=claimed.example",
    "stranger ADDR=203.0.113.9 NAME=trusted.example LOGIN=alice",
]
HELOS = ["host.foreign.example", "localhost", "[203.0.113.9]", "203.0.113.9", "bad_name.example", "nodot",
         "mail.example.com", "-bad.example", "host..example", "sub.foreign.example"]  # fmt: skip
ACTIONS = [
    "OK", "REJECT", "REJECT not here", "REJECT 5.1.9 go away", "DEFER", "DEFER later please", "DUNNO", "450 4.2.2 wait",
    "550 5.7.9 no", "554", "421 4.7.0 bye", "DEFER_IF_PERMIT", "DEFER_IF_PERMIT 4.1.1 hm", "DEFER_IF_REJECT x",
    "HOLD", "DISCARD", "PREPEND X-Mark: yes", "WARN careful", "INFO seen", "reject",
    "permit_mynetworks, reject", "reject_unauth_destination", "classy", "permit", "warn_if_reject reject",
]  # fmt: skip
KEYS = [
    "alice@example.com", "example.com", ".example.com", "rel.example", "sub.rel.example", ".rel.example", "r@", "alice@",
    "foreign.example", ".foreign.example", "f@foreign.example", "<>", "virt.example", "203.0.113", "203.0.113.9",
    "198.51", "host.foreign.example", "isp.example", ".isp.example", "nodot", "localhost", "other.example", "mail.example.com",
    "postmaster@", "alice", "unknown", "trusted.example",
]  # fmt: skip
CLIENT = ["permit_mynetworks", "reject_unknown_reverse_client_hostname", "reject_unknown_client_hostname",
          "check_client_access {t}", "permit_sasl_authenticated", "check_reverse_client_hostname_access {t}",
          "reject_plaintext_session"]  # fmt: skip
HELO = ["reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "check_helo_access {t}"]
SENDER = ["reject_non_fqdn_sender", "reject_unlisted_sender", "check_sender_access {t}", "reject_sender_login_mismatch",
          "reject_authenticated_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch",
          "reject_known_sender_login_mismatch"]  # fmt: skip
RCPT = ["reject_unauth_destination", "permit_auth_destination", "defer_unauth_destination", "reject_non_fqdn_recipient",
        "reject_unlisted_recipient", "check_recipient_access {t}"]  # fmt: skip
ANYWHERE = ["reject_unauth_pipelining", "classy", "check_sasl_access {t}"]
LAST = ["permit", "reject", "defer", "defer_if_permit", "defer_if_reject"]


@dataclass
class Maker:
    """Makes one round from a seed."""

    dice: random.Random
    folder: Path
    headers: bool = False
    wire: bool = False

    def round(self) -> sc.Scenario:
        self.folder.mkdir(parents=True)
        lines = self.main()
        (self.folder / "aliases").write_text("postmaster: carol\n")
        (self.folder / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        return sc.Scenario(self.folder.name, self.folder, tuple(self.sessions()), "")

    def some(self, of: list[str], low: int, high: int) -> list[str]:
        return self.dice.sample(of, min(len(of), self.dice.randint(low, high)))

    def chance(self, percent: int) -> bool:
        return self.dice.random() * 100 < percent

    def table(self, name: str, rows: list[str]) -> str:
        kind = self.dice.choice(["texthash", "hash"])
        (self.folder / name).write_text("".join(f"{row}\n" for row in rows))
        return f"{kind}:@/{name}"

    def access(self) -> str:
        number = len(list(self.folder.glob("access*")))
        kind = self.dice.choice(["table", "table", "table", "cidr", "regexp"])
        actions = self.some(ACTIONS, 2, 6)
        if kind == "table":
            return self.table(
                f"access{number}", [f"{key} {self.dice.choice(actions)}" for key in self.some(KEYS, 2, 7)]
            )
        if kind == "cidr":
            nets = self.some(["203.0.113.0/24", "198.51.100.64/26", "127.0.0.1", "!192.0.2.0/24", "0.0.0.0/0"], 1, 3)
            rows = [f"{net} {self.dice.choice(actions)}" for net in nets]
        else:
            patterns = self.some(
                ["/^al/", "/foreign/", "!/example/", "/@rel\\.example$/", "/./", "/^dyn/", "/^$/"], 1, 3
            )
            rows = [f"{pattern} {self.dice.choice(actions)}" for pattern in patterns]
        (self.folder / f"access{number}").write_text("".join(f"{row}\n" for row in rows))
        return f"{kind}:@/access{number}"

    def restrictions(self, usual: list[str], guard: str = "") -> str:
        found = [rule.format(t=self.access()) if "{t}" in rule else rule for rule in usual]
        if self.chance(15):
            found.insert(self.dice.randint(0, len(found)), "warn_if_reject")
            if found[-1] == "warn_if_reject":
                found.append("reject")
        if guard:
            found.insert(self.dice.randint(0, len(found)), guard)
        if self.chance(25):
            found.append(self.dice.choice(LAST))
        return ", ".join(found)

    def main(self) -> dict[str, str]:
        dice, chance = self.dice, self.chance
        if self.headers:
            return self.rewriting()
        if self.wire:
            return self.strictness()
        main = {"smtpd_restriction_classes": "classy"}
        main["classy"] = self.restrictions(self.some([*CLIENT[:4], "check_sender_access {t}"], 1, 2))
        main["relay_domains"] = dice.choice(["", "rel.example", "rel.example, .rel.example", "$mydestination"])
        main["compatibility_level"] = dice.choice(["0", "2", "3.6"])
        main["smtpd_sasl_auth_enable"] = "yes"
        pool = CLIENT + HELO + SENDER + ANYWHERE
        for name, usual, percent in (
            ("client", CLIENT + ANYWHERE, 50), ("helo", [*CLIENT, *HELO, *ANYWHERE], 50),
            ("sender", [*CLIENT, *HELO, *SENDER, *ANYWHERE], 60), ("data", [*pool, "reject_multi_recipient_bounce"], 25),
            ("end_of_data", pool, 20),
        ):  # fmt: skip
            if chance(percent):
                main[f"smtpd_{name}_restrictions"] = self.restrictions(self.some(usual, 1, 3))
        guards = ["reject_unauth_destination", "defer_unauth_destination", "reject"]
        which = dice.choice(["relay", "recipient", "both"])
        if which != "recipient":
            rules = self.some(["permit_mynetworks", "permit_sasl_authenticated", *RCPT], 1, 3)
            main["smtpd_relay_restrictions"] = self.restrictions(rules, dice.choice(guards))
        elif chance(50):
            main["smtpd_relay_restrictions"] = ""
        if which != "relay":
            rules = self.some([*CLIENT, *HELO, *SENDER, *RCPT, *ANYWHERE], 1, 5)
            main["smtpd_recipient_restrictions"] = self.restrictions(rules, dice.choice(guards))
        flags = {
            "smtpd_delay_reject": 30, "smtpd_helo_required": 20, "strict_rfc821_envelopes": 20, "soft_bounce": 8,
            "smtpd_reject_unlisted_sender": 25, "smtpd_reject_unlisted_recipient": 30, "allow_percent_hack": 30,
            "swap_bangpath": 25, "allow_untrusted_routing": 12, "disable_vrfy_command": 10, "append_at_myorigin": 6,
            "append_dot_mydomain": 30, "smtpd_sasl_authenticated_header": 30,
            "show_user_unknown_table_name": 15, "resolve_null_domain": 15, "resolve_numeric_domain": 15,
            "smtpd_relay_before_recipient_restrictions": 20, "always_add_missing_headers": 20, "enable_original_recipient": 20,
            "broken_sasl_auth_clients": 8, "expand_owner_alias": 8, "strict_mime_encoding_domain": 4,
        }  # fmt: skip
        for name, percent in flags.items():
            if chance(percent):
                main[name] = dice.choice(["yes", "no"])
        codes = ["reject_code", "unknown_local_recipient_reject_code", "access_map_reject_code",
                 "non_fqdn_reject_code", "invalid_hostname_reject_code", "unknown_client_reject_code", "defer_code",
                 "unknown_virtual_alias_reject_code", "access_map_defer_code", "plaintext_reject_code"]  # fmt: skip
        for name in self.some(codes, 0, 2):
            main[name] = dice.choice(["450", "550", "554", "451"])
        self.addresses(main)
        return main

    def rewriting(self) -> dict[str, str]:
        """Everybody may send; what changes in the header is the question."""
        main = {
            "smtpd_relay_restrictions": "permit",
            "smtpd_recipient_restrictions": "reject_non_fqdn_recipient, permit_mynetworks, reject_unauth_destination",
        }
        main["smtpd_relay_restrictions"] = "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"
        main["smtpd_recipient_restrictions"] = ""
        main["local_header_rewrite_clients"] = self.dice.choice(
            ["permit_mynetworks", "static:all", "permit_sasl_authenticated", ""]
        )
        choices = {
            "append_dot_mydomain": ["yes", "no"], "append_at_myorigin": ["yes", "no"], "remote_header_rewrite_domain": ["", "domain.invalid"],
            "always_add_missing_headers": ["yes", "no"], "swap_bangpath": ["yes", "no"], "allow_percent_hack": ["yes", "no"],
            "canonical_classes": ["envelope_sender, header_sender", "header_recipient", "envelope_recipient, header_sender"],
            "propagate_unmatched_extensions": ["canonical", "canonical, virtual", ""], "undisclosed_recipients_header": ["", "To: x:;"],
            "message_drop_headers": ["bcc, content-length, resent-bcc, return-path", "x-other, cc"], "header_from_format": ["standard", "obsolete"],
            "masquerade_exceptions": ["root", "al, bob"], "compatibility_level": ["0", "2", "3.6"],
        }  # fmt: skip
        for name, values in choices.items():
            if self.chance(40):
                main[name] = self.dice.choice(values)
        if self.chance(40):
            rows = self.some(
                ["alice@example.com out@public.example", "@example.com @public.example", "bob b@public.example"], 1, 3
            )
            main["smtp_generic_maps"] = self.table("generic", rows)
        self.addresses(main)
        return main

    def strictness(self) -> dict[str, str]:
        """What the server bears."""
        choices = {
            "smtpd_forbid_bare_newline": ["normalize", "no", "yes"], "smtpd_forbid_unauth_pipelining": ["yes", "no"],
            "strict_rfc821_envelopes": ["yes", "no"], "smtpd_helo_required": ["yes", "no"], "smtpd_noop_commands": ["", "FOO, BAR"],
            "smtpd_forbidden_commands": ["CONNECT, GET, POST", "FOO"], "smtpd_junk_command_limit": ["3", "100"],
            "smtpd_hard_error_limit": ["5", "20"], "line_length_limit": ["600", "2048"], "disable_vrfy_command": ["yes", "no"],
            "smtputf8_enable": ["yes", "no"], "message_size_limit": ["3000", "10240000"], "smtpd_discard_ehlo_keywords": ["chunking", "pipelining", "dsn, chunking"],
            "smtpd_data_restrictions": ["", "reject_unauth_pipelining"], "smtpd_recipient_restrictions": ["", "reject_unauth_pipelining, permit_mynetworks, reject"],
            "smtpd_delay_reject": ["yes", "no"], "smtpd_helo_restrictions": ["", "reject_unauth_pipelining"],
        }  # fmt: skip
        return {"smtpd_forbid_bare_newline_exclusions": ""} | {
            name: self.dice.choice(values) for name, values in choices.items() if self.chance(45)
        }

    def bytes_of(self, text: str) -> bytes:
        """A command as it should be, or nearly."""
        data = text.encode("latin-1")
        if self.chance(20):
            at = self.dice.randrange(len(data) + 1)
            data = data[:at] + self.dice.choice([b"\0", b"\t", b"  ", b"\x80", b"\xc3\xa4", b"\r", b"\x0b", b"<", b">", b'"', b"\\", b"\x7f", b"(", b":", b"x" * 120]) + data[at:]  # fmt: skip
        if self.chance(8):
            data = data.swapcase()
        return (
            data + self.dice.choices([b"\r\n", b"\n", b"\r\r\n", b" \r\n", b"\t \r\n", b"\r"], [75, 8, 3, 8, 4, 2])[0]
        )

    def groups(self) -> list[tuple[str, str]]:
        """What one connection sends, group by group."""
        usual = ["EHLO x.example", "HELO x.example", "MAIL FROM:<a@foreign.example>", "RCPT TO:<alice@example.com>", "RCPT TO:<f@foreign.example>",
                 "DATA", "RSET", "NOOP", "QUIT", "VRFY alice", "FOO bar", "", "MAIL", "MAIL FROM:", "MAIL FROM: <a@b.example> SIZE=1000000",
                 "RCPT TO:", "RCPT", "DATA x", "EHLO", "HELO", "NOOP x y", "RSET x", "QUIT now", "STARTTLS", "AUTH", "AUTH PLAIN", "ETRN", "EXPN alice",
                 "Subject: x", "GET / HTTP/1.1", "MAIL FROM:<a@b.example> BODY=8BITMIME", "MAIL FROM:<a@b.example> SMTPUTF8", "RCPT TO:<alice@example.com> NOTIFY=NEVER,DELAY",
                 "RCPT TO:<alice@example.com> ORCPT=rfc822;x", "MAIL FROM:<> RET=HDRS ENVID=abc", "MAIL FROM:<> RET=X", "MAIL FROM:<a@b.example> AUTH=<>", "TURN", "SEND FROM:<x@y.z>"]  # fmt: skip
        body = [b"Subject: x\r\n\r\nhi\r\n.\r\n", b"Subject: x\n\nhi\n.\n", b"a\r\n.\n.\r\n", b"x\n.\r\ny\r\n.\r\n", b".\r\n", b"..\r\n.\r\n",
                b"a\r\r\n.\r\r\n.\r\n", b"a\r.\r\n.\r\n", b"x" * 400 + b"\r\n.\r\n", b"a\0b\r\n.\r\n", b"a\r\n.\r\nNOOP\r\n", b"\r\n.\r\n", b"a\r\n. \r\n.\r\n"]  # fmt: skip
        chunks = [b"BDAT 3\r\nabc", b"BDAT 14\r\nSubject: y\r\n\r\n", b"BDAT 5 LAST\r\nab\r\nc", b"BDAT 0 LAST\r\n", b"bdat 4 last\r\n.\r\n.",
                  b"BDAT 3\r\na\nb", b"BDAT 1\r\n\r", b"BDAT 1\r\n\n", b"BDAT 0\r\n", b"BDAT x\r\n", b"BDAT 3100 LAST\r\n" + b"z" * 3100, b"BDAT 6\r\nRSET\r\n"]  # fmt: skip
        opening = [["EHLO x.example"], ["HELO x.example"], []][self.dice.choices([0, 1, 2], [80, 10, 10])[0]]
        found = [("raw", "".join(chr(b) for b in self.bytes_of(text))) for text in opening]
        for _ in range(self.dice.randint(3, 7)):
            if self.chance(45):
                lines = ["MAIL FROM:<a@foreign.example>", "RCPT TO:<alice@example.com>", "DATA"]
                if self.chance(50):
                    found += [("raw", "".join(chr(b) for b in self.bytes_of(line))) for line in lines]
                else:
                    found.append(("raw", "".join(chr(b) for line in lines for b in self.bytes_of(line))))
                found.append(("raw", "".join(chr(b) for b in self.dice.choice(body))))
            elif self.chance(35):
                envelope = (
                    "MAIL FROM:<a@foreign.example>\r\nRCPT TO:<alice@example.com>\r\n" if self.chance(75) else ""
                )
                some = [chr(b) for _ in range(self.dice.randint(1, 4)) for b in self.dice.choice(chunks)]
                found.append(("raw", envelope + "".join(some)))
            else:
                lines = [self.dice.choice(usual) for _ in range(self.dice.choices([1, 2, 4], [60, 25, 15])[0])]
                found.append(("raw", "".join(chr(b) for line in lines for b in self.bytes_of(line))))
        return found

    def addresses(self, main: dict[str, str]) -> None:
        dice, chance = self.dice, self.chance
        if chance(70):
            main["virtual_alias_domains"] = "virt.example"
            rows = self.some(
                [
                    "v@virt.example alice@example.com",
                    "two@virt.example bob@example.com, f@foreign.example",
                    "deep@virt.example v@virt.example",
                    "@virt.example carol@example.com",
                    "al@example.com alice",
                    "bob bob@foreign.example",
                    "root alice@example.com",
                    "f@foreign.example bob@example.com",
                ],
                2,
                5,
            )
            main["virtual_alias_maps"] = self.table("virtual", rows)
        if chance(40):
            main["virtual_mailbox_domains"] = "vbox.example"
            main["virtual_mailbox_base"] = "@HOME@"
            main["virtual_mailbox_maps"] = self.table("vbox", ["m@vbox.example vbox/m/"])
            main["virtual_uid_maps"] = main["virtual_gid_maps"] = "static:@UID@"
            main["virtual_minimum_uid"] = "1"
        if chance(35):
            rows = self.some(
                [
                    "alice@example.com a.lice@example.com",
                    "@old.example @example.com",
                    "bob bobby",
                    "f@foreign.example ff@foreign.example",
                    "@foreign.example @example.com",
                ],
                1,
                3,
            )
            main[dice.choice(["canonical_maps", "sender_canonical_maps", "recipient_canonical_maps"])] = self.table(
                "canon", rows
            )
        if chance(25):
            main["masquerade_domains"] = dice.choice(
                ["example.com", "!localhost.example.com example.com", "foreign.example"]
            )
            if chance(50):
                main["masquerade_classes"] = dice.choice(
                    ["envelope_sender, header_sender", "envelope_recipient, header_recipient"]
                )
        if chance(40):
            main["recipient_delimiter"] = dice.choice(["+", "-+", "."])
        if chance(25):
            rows = self.some(
                [
                    "foreign.example error:5.1.2 no such domain",
                    ".foreign.example discard:",
                    "other.example local:",
                    "r@rel.example error:unknown",
                    "rel.example smtp:[127.0.0.1]:@SINK@",
                    "* :",
                ],
                1,
                3,
            )
            main["transport_maps"] = self.table("transport", rows)
        if chance(25):
            main["local_recipient_maps"] = dice.choice(["", "unix:passwd.byname", "static:all"])
        if chance(15):
            main["relocated_maps"] = self.table(
                "relocated", self.some(["bob@example.com gone@foreign.example", "carol@ x", "al b@c.d"], 1, 2)
            )
        if chance(15):
            main["relay_recipient_maps"] = self.table("relayrcpt", ["known@rel.example x", "r@rel.example y"])
        if chance(30):
            rows = self.some(
                ["alice@example.com alice", "bob@example.com bob", "@foreign.example alice", "f@foreign.example bob"],
                1,
                3,
            )
            main["smtpd_sender_login_maps"] = self.table("logins", rows)
        if chance(20):
            name = dice.choice(["always_bcc", "sender_bcc_maps", "recipient_bcc_maps"])
            main[name] = (
                "carol@example.com"
                if name == "always_bcc"
                else self.table("bcc", ["alice@example.com carol@example.com", "@foreign.example dave"])
            )
        if chance(20):
            main["luser_relay"] = dice.choice(["bob@example.com", "f@foreign.example"])
            main["local_recipient_maps"] = ""
        if chance(25):
            rules = self.some(
                [
                    "/^Subject: .*spam/ REJECT no spam",
                    "/^X-Hold:/ HOLD",
                    "/^Subject: (.*)/ REPLACE Subject: new $1",
                    "/^X-Drop/ IGNORE",
                    "/^From:/ PREPEND X-Seen: yes",
                    "/^To:.*bob/ REDIRECT carol@example.com",
                    "/^Received:/ DUNNO",
                    "/^X-Warn/ WARN watch",
                ],
                1,
                4,
            )
            (self.folder / "headers").write_text("".join(f"{rule}\n" for rule in rules))
            main["header_checks"] = "regexp:@/headers"
        if chance(15):
            (self.folder / "body").write_text("/viagra/ REJECT 5.7.1 body\n/hold me/ HOLD\n/^secret/ IGNORE\n")
            main["body_checks"] = "regexp:@/body"
        if chance(15):
            main["smtpd_recipient_limit"] = "2"
        if chance(15):
            main["parent_domain_matches_subdomains"] = dice.choice(["", "smtpd_access_maps", "relay_domains"])

    def sessions(self) -> list[tuple[str, str]]:
        """(kind, text): `client`, `line`, `group` (sent at once), `mail` (DATA and, after 354, the content)."""
        steps: list[tuple[str, str]] = []
        for _ in range(self.dice.randint(8, 12)):
            steps.append(("client", "connect" if self.wire else self.dice.choice(CLIENTS)))
            if self.wire:
                steps += self.groups()
                continue
            if self.chance(92):
                verb = "EHLO" if self.chance(85) else "HELO"
                steps.append(("line", f"{verb} {self.dice.choice(HELOS)}"))
            for _ in range(self.dice.randint(2, 5)):
                steps += self.transaction()
            steps.append(("line", "QUIT"))
        return steps

    def address(self) -> str:
        kind = self.dice.choices([LOCAL, RELAY, VIRTUAL, MAILBOX, FOREIGN, ODD], [30, 12, 12, 6, 22, 18])[0]
        return self.dice.choice(kind)

    def mailbox(self) -> str:
        """An address as header fields have them, and as they should not."""
        pick = self.dice.choice
        name = pick(
            [
                "alice",
                "bob",
                "a.b",
                '"a b"',
                "x+y",
                "",
                "al",
                "=?utf-8?q?x?=",
                "user%site",
                "site!user",
                "'q'",
                '"q\\"r"',
            ]
        )
        domain = pick(["@example.com", "@EXAMPLE.com", "@foreign.example", "", "@nodot", "@localhost.example.com", "@[192.0.2.1]",
                       "@example.com.", "@sub.foreign.example", "@old.example", " @ example.com"])  # fmt: skip
        address = name + domain
        return pick(["{}", "{}", "<{}>", "Some Body <{}>", '"Body, Some" <{}>', "{} (a comment)", "(pre) {}", "S. Body <{}>",
                     "=?utf-8?B?w6Q=?= <{}>", "<@one.example,@two.example:{}>", "Group: {}, bob;", "Empty:;", "{} trailing", "<{}> x",
                     "x <{}", "{},", ",{}", "a,,{}", "Two\n Lines <{}>", "{} (deep (er) comment)", "\"unclosed <{}>"]).format(address)  # fmt: skip

    def odd_header(self) -> str:
        name = self.dice.choice(["From", "To", "Cc", "Reply-To", "Sender", "Resent-To", "Errors-To", "Return-Receipt-To", "Bcc",
                                 "Disposition-Notification-To", "Apparently-To", "X-Other", "Mail-Followup-To", "Resent-Sender"])  # fmt: skip
        return f"{name}: " + ", ".join(self.mailbox() for _ in range(self.dice.randint(1, 3)))

    def transaction(self) -> list[tuple[str, str]]:
        dice, chance = self.dice, self.chance
        sender = dice.choice(["f@foreign.example", "alice@example.com", "", "bob@example.com", self.address()])
        form = dice.choices(
            [
                "MAIL FROM:<{}>",
                "mail from: <{}>",
                "MAIL FROM:{}",
                "MAIL FROM:<{}> SIZE=100",
                "MAIL FROM:<{}> BODY=8BITMIME",
                "MAIL FROM:<{}> FOO=1",
            ],
            [70, 8, 5, 8, 5, 4],
        )[0]
        steps = [("line", form.format(sender))]
        for _ in range(dice.randint(1, 3)):
            form = dice.choices(
                ["RCPT TO:<{}>", "rcpt to: <{}>", "RCPT TO:{}", "RCPT TO:<{}> NOTIFY=NEVER", "RCPT TO:<{}> X"],
                [80, 7, 5, 5, 3],
            )[0]
            steps.append(("line", form.format(self.address())))
        if chance(12):
            steps.append(("line", dice.choice(["NOOP", "VRFY alice", "VRFY <f@foreign.example>", "RSET x", "FOO", "STARTTLS", "AUTH PLAIN",
                                               "VRFY nobody1@example.com", "EHLO again.example", "MAIL FROM:<x@y.example>", "ETRN example.com"])))  # fmt: skip
        if chance(70):
            headers = self.some(
                [
                    "Subject: hello",
                    "Subject: cheap spam",
                    "From: Alice <alice@example.com>",
                    "From: f@foreign.example (F)",
                    "To: bob@example.com, alice",
                    "To: undisclosed-recipients:;",
                    "Cc: <al@localhost.example.com>",
                    "X-Hold: 1",
                    "Date: Tue, 24 Nov 2026 10:00:00 +0000",
                    "Message-ID: <1@x>",
                    "X-Drop: 1",
                    'Reply-To: "A, B" <a@b>',
                    "Received: from a by b; Tue, 24 Nov 2026 10:00:00 +0000",
                    "Bcc: dave@example.com",
                    "X-Warn: x",
                    "Return-Path: <me@x.example>",
                    "Delivered-To: bob@example.com",
                    "Resent-From: carol",
                ],
                1,
                6,
            )
            if self.headers:
                headers += [self.odd_header() for _ in range(dice.randint(1, 5))]
                headers += self.some(["Content-Type: text/plain; charset=utf-8", "MIME-Version: 1.0", "X-Long: " + "a b " * 60,
                                      "X-Tab:\tx\n\ty", "X-Blank: ", "Lines: 3", "Content-Length: 10", "Full-Name: X Y", "sTRANGE-case: X",
                                      "No colon here", "X-Eight: \xe4", "Resent-Date: now", "Date: now"], 0, 2)  # fmt: skip
            body = self.some(["text", "hold me", "buy viagra", "secret line", "..dots", "From here on", ""], 1, 3)
            steps.append(("mail", "\n".join([*headers, "", *body])))
        else:
            steps.append(("line", "RSET"))
        return steps


def play(scenario: sc.Scenario, ports: dict[str, int]) -> list[str]:
    """Speak the steps; one entry for each, what was said and heard."""
    client: sc._Client | None = None
    said: list[str] = []
    for kind, text in scenario.steps:
        if kind == "client":
            if client is not None:
                client.close()
            client = sc._word(None, text.split(), ports)
            said.append(f"\n{text}")
            continue
        assert client is not None
        if kind == "raw":
            client.send(text.encode("latin-1"))
            said.append("\n".join([repr(text), *(f"   {sc.normal_reply(line)}" for line in quiet(client))]))
            continue
        client.send((text if kind == "line" else "DATA").encode() + b"\r\n")
        heard = client.reply()
        if kind == "mail" and heard[-1].startswith("354"):
            body = "\r\n".join("." + line if line.startswith(".") else line for line in text.split("\n"))
            client.send(body.encode("latin-1") + b"\r\n.\r\n")
            heard += client.reply()
            client.send(b"RSET\r\n")  # differs on purpose: after a refusal at the end of DATA Postfix wants it
            client.reply()
        replies = [sc.normal_reply(line) for line in heard if not line.startswith(("250-AUTH", "250 AUTH"))]
        if text.startswith("EHLO") and replies[0].startswith("250-"):
            replies = [" ".join(reply[4:] for reply in replies)]
        said.append("\n".join([text if kind == "line" else "DATA", *(f"   {line}" for line in replies)]))
    if client is not None:
        client.close()
    return said


def quiet(client: sc._Client) -> list[str]:
    """All that comes until nothing has come for a while."""
    found = b""
    client.sock.settimeout(0.2)
    while True:
        try:
            data = client.sock.recv(65536)
        except (TimeoutError, OSError):
            break
        found += data or b"(closed)\r\n"
        if not data:
            break
    lines = found.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    return [line for line in lines if not line.startswith(("250-AUTH", "250 AUTH"))]


def differences(ours: list[str], theirs: list[str]) -> list[str]:
    """The first reply of each session that differs, with what led to it."""
    found: list[str] = []
    before: list[str] = []
    lost = False
    for mine, other in zip(ours, theirs, strict=True):
        if mine.startswith("\n"):
            before, lost = [mine], False
        elif mine != other and not lost:
            replies = other.partition("\n")[2]
            found += [*before[:2], *before[2:][-5:], mine.partition("\n")[0], f"tayori  {mine.partition(chr(10))[2]}",
                      f"postfix {replies}"]  # fmt: skip
            lost = True
        before.append(mine)
    return found


def normal(mail: list[str]) -> list[str]:
    """Without what differs on purpose: which BODY= a notice claims, its charset. Messages
    to one place come in any order."""
    lines = [
        line.replace("charset=utf-8", "charset=us-ascii").replace("SOFTBOUNCE <", "deferred <")
        for line in mail
        if not line.startswith(("held ", "| Original-Recipient"))
    ]
    lines = [line.replace(" BODY=8BITMIME", "") for line in lines]
    starts = [0, *(at for at, line in enumerate(lines) if line.startswith("== ")), len(lines)]
    parts = ["\n".join(lines[begin:end]).rstrip("\n") for begin, end in itertools.pairwise(starts)]
    return "\n\n".join((parts[0], *sorted(parts[1:]))).split("\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--headers", action="store_true", help="easy rules, hard headers")
    parser.add_argument("--wire", action="store_true", help="bytes as no client should send them")
    parser.add_argument("--maps", action="store_true", help="every map of addresses at once (rewriting.py)")
    options = parser.parse_args()
    maker: type[Maker] = importlib.import_module("rewriting").Rewriter if options.maps else Maker
    sc.play = play  # type: ignore[assignment]
    root = options.keep or Path(tempfile.mkdtemp(prefix="tydiff", dir="/var/tmp"))
    root.mkdir(exist_ok=True)
    root.chmod(0o755)
    bad = 0
    with TayoriRuns(root / "tayori") as tayori, PostfixRuns(root / "postfix") as postfix:
        for seed in range(options.seed, options.seed + options.rounds):
            scenario = maker(random.Random(seed), root / f"round{seed}", options.headers, options.wire).round()
            try:
                theirs, their_mail = postfix.run(scenario)
                ours, our_mail = tayori.run(scenario)
            except RuntimeError as error:
                if "let strangers relay" not in str(error):  # a guard behind warn_if_reject is none to tayori
                    print(f"==== seed {seed}: {str(error)[:1500]}", flush=True)
                    bad += 1
                continue
            found = differences(ours, theirs)
            fate = list(difflib.unified_diff(*(normal(mail) for mail in (our_mail, their_mail)), lineterm="", n=1))[
                2:
            ]
            if found or fate:
                bad += 1
                print(
                    f"==== seed {seed} ({scenario.folder})",
                    *found,
                    *(["-- mail"] if fate else []),
                    *fate[:40],
                    sep="\n",
                    flush=True,
                )
                for name, text in (("ours", ours + our_mail), ("theirs", theirs + their_mail)):
                    (scenario.folder / f"{name}.txt").write_text("\n".join(text))
                (scenario.folder / "their.log").write_text(postfix.last_log)
    print(f"{options.rounds} rounds, {bad} with differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
