"""A Policy from a plain mapping, and a small session that turns SMTP commands into Facts and verdicts into replies."""

from __future__ import annotations

from typing import Any

import msgspec

from tayori.config.settings import Settings
from tayori.config.system import System
from tayori.policy.facts import ClientFacts, Facts, LoginFacts, Stage, TlsFacts
from tayori.policy.log import effect_lines, log_line
from tayori.policy.policy import Policy
from tayori.policy.services import Services
from tayori.policy.verdict import Verdict
from tayori.rewrite.classes import Classes
from tayori.rewrite.recipients import Listing
from tayori.tables.matchlist import Kind, MatchList
from tayori.tables.registry import Tables

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.com",
    "mydestination": "mail.example.com, example.com",
    "mynetworks": "127.0.0.0/8",
    "relay_domains": "relay.example",
    "virtual_alias_domains": "va.example",
    "local_recipient_maps": "inline:{u=1}",
    "alias_maps": "",
    "smtpd_peername_lookup": "no",
}


class NoDns:
    """A resolver that must not be asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"DNS was asked: {name}")


def build(main: dict[str, str], resolver: Any = None, **more: Any) -> Policy:
    """A Policy with real tables, classes and listings."""
    settings = Settings.of({**BASE, **main}, System(hostname="mail.example.com"))
    tables = Tables(settings)
    classes = Classes(settings, tables)
    services = Services(
        tables=tables,
        classes=classes,
        listing=Listing(settings, tables, classes),
        resolver=resolver or NoDns(),
        mynetworks=MatchList.from_settings(tables, settings, "mynetworks", Kind.NETWORK),
        **more,
    )
    return Policy(settings, services)


class Session:
    """Just enough of an SMTP session: `await say("RCPT TO:<a@b>")` gives the reply's first line ("250" for a yes)."""

    def __init__(self, policy: Policy, facts: Facts | None = None) -> None:
        self.policy = policy
        self.facts = facts or Facts(ClientFacts("127.0.0.1", name="localhost"), protocol="SMTP")
        self.verdict = Verdict(action=None)  # type: ignore[arg-type]
        self.log: list[str] = []

    async def say(self, command: str) -> str:
        """One command."""
        verb, _, rest = command.partition(" ")
        facts = self.facts
        if verb == "XCLIENT":
            return await self._xclient(dict(item.split("=", 1) for item in rest.split()))
        if verb == "TLS":
            self.facts = msgspec.structs.replace(facts, tls=TlsFacts("TLSv1.3", "x"))
            return "220"
        if verb in ("EHLO", "HELO"):
            asked = facts.at(
                Stage.HELO if verb == "EHLO" else Stage.PLAIN_HELO, helo=rest, sender=None, recipient=None
            )
            after = msgspec.structs.replace(asked, protocol="ESMTP" if verb == "EHLO" else "SMTP")
            return self._answer(asked, await self.policy.helo(asked), after)
        address = rest.partition("<")[2].rpartition(">")[0]
        if verb == "MAIL":
            asked = facts.at(Stage.MAIL, sender=address, recipient=None, recipient_count=0)
            return self._answer(asked, await self.policy.mail(asked), asked)
        if verb == "RCPT":
            asked = facts.at(Stage.RCPT, recipient=address)
            after = msgspec.structs.replace(asked, recipient_count=facts.recipient_count + 1)
            return self._answer(asked, await self.policy.rcpt(asked), after)
        if verb == "VRFY":
            asked = facts.at(Stage.VRFY, recipient=rest)
            return self._answer(asked, await self.policy.vrfy(asked), facts)
        if verb == "ETRN":
            asked = facts.at(Stage.ETRN, etrn=rest)
            return self._answer(asked, await self.policy.etrn(asked), facts)
        if verb == "DATA":
            asked = facts.at(Stage.DATA)
            return self._answer(asked, await self.policy.data(asked), asked)
        if verb == ".":
            asked = facts.at(Stage.END_OF_DATA)
            return self._answer(asked, await self.policy.end_of_data(asked), asked)
        if verb == "RSET":
            self.facts = msgspec.structs.replace(facts, sender=None, recipient=None, recipient_count=0)
            return "250"
        raise AssertionError(f"the test session does not know {command}")

    async def _xclient(self, values: dict[str, str]) -> str:
        name = values.get("NAME", "unknown")
        code = 2 if name not in ("[UNAVAILABLE]", "[TEMPUNAVAIL]") else 4 if name == "[TEMPUNAVAIL]" else 5
        name = name if code == 2 else "unknown"
        client = ClientFacts(
            values["ADDR"].removeprefix("IPV6:"), name=name, name_code=code, reverse_name=name, reverse_code=code
        )
        login = LoginFacts(values["LOGIN"], "xclient") if "LOGIN" in values else None
        self.facts = Facts(client, protocol="SMTP", login=login)
        verdict = await self.policy.connect(self.facts)
        return "220" if self._answer(self.facts, verdict, self.facts) == "250" else str(verdict.reply)

    def _answer(self, asked: Facts, verdict: Verdict, after: Facts) -> str:
        self.verdict = verdict
        self.log += effect_lines(verdict, asked)
        if line := log_line(verdict, asked):
            self.log.append(line)
        if verdict.reply is not None:
            return str(verdict.reply)
        self.facts = msgspec.structs.replace(after, pending=verdict.pending) if verdict.pending else after
        return "250"
