"""The probe goes the way that mail goes and sends none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.sink import Sink
from tayori.config.mastercf import read_services
from tayori.config.settings import Settings
from tayori.config.system import System
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.programs.daemons.compose import furnish
from tayori.programs.daemons.verify_probe import Prober

MAIN = """
compatibility_level = 3.6
myhostname = me.example
mydomain = example
myorigin = me.example
mydestination = me.example
alias_maps = inline:{root=taro, out=x@there.example, a=b, b=a}
virtual_alias_domains = va.example
virtual_alias_maps = inline:{good@va.example=taro@me.example, bad@va.example=nobody@me.example}
virtual_mailbox_domains = vm.example
virtual_mailbox_maps = inline:{a@vm.example=a/}
relay_domains = there.example
"""


def ask(tmp_path: Path, address: str, more: str = "") -> DeliveryOutcome:
    (tmp_path / "passwd").write_text("taro:x:1000:1000::/home/taro:/bin/sh\n")
    (tmp_path / "main.cf").write_text(f"{MAIN}tayori_passwd_file = {tmp_path}/passwd\n{more}")
    settings = Settings.read(tmp_path, System(hostname="me.example"))
    house = furnish(settings, read_services(settings))
    prober = Prober(
        settings,
        house.tables,
        house.classes,
        house.cleanup,
        house.aliases,
        house.program,
        house.agents,
        house.generic,
    )

    async def run() -> DeliveryOutcome:
        try:
            return await asyncio.wait_for(prober.ask(address), 10)
        finally:
            for agent in house.agents.values():
                agent.close()
            await asyncio.sleep(0.02)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "kind", "text"),
    [
        ("taro@me.example", Delivered, ""),
        ("root@me.example", Delivered, ""),
        ("out@me.example", Delivered, ""),
        ("nobody-here@me.example", BouncedDelivery, 'unknown user: "nobody-here"'),
        ("a@me.example", BouncedDelivery, "alias database loop for a"),
        ("good@va.example", Delivered, ""),
        ("bad@va.example", BouncedDelivery, 'unknown user: "nobody"'),
        ("a@vm.example", Delivered, ""),
        ("b@vm.example", BouncedDelivery, 'unknown user: "b@vm.example"'),
    ],
)
def test_own_addresses(tmp_path: Path, address: str, kind: type[DeliveryOutcome], text: str) -> None:
    outcome = ask(tmp_path, address)
    assert isinstance(outcome, kind), outcome
    assert text in outcome.text


def test_the_next_hop_is_asked_and_gets_no_mail(tmp_path: Path) -> None:
    answers = {
        "RCPT": lambda line: (
            "550 5.1.1 no such user" if "<reject" in line else "450 4.2.1 later" if "<defer" in line else None
        )
    }
    with Sink(answers=answers) as sink:
        # the verify parameter alone leads there: mail itself would go nowhere
        more = f"relayhost = [127.0.0.1]:1\naddress_verify_relayhost = [127.0.0.1]:{sink.port}\n"
        more += f"relay_transport = error\naddress_verify_relay_transport = smtp:[127.0.0.1]:{sink.port}\n"
        assert isinstance(ask(tmp_path, "friend@there.example", more), Delivered)
        refused = ask(tmp_path, "reject@there.example", more)
        later = ask(tmp_path, "defer@else.example", more)
        assert isinstance(refused, BouncedDelivery) and refused.enhanced == "5.1.1"
        assert refused.text == (
            "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)"
        )
        assert isinstance(later, DeferredDelivery) and later.enhanced == "4.2.1"
        verbs = [line.split()[0].upper() for _, line in sink.commands]
        assert sink.messages == [] and "DATA" not in verbs
        assert verbs.count("QUIT") == 3
        mails = {line.split()[1] for _, line in sink.commands if line.upper().startswith("MAIL")}
        assert mails == {"FROM:<double-bounce@me.example>"}


def test_data_as_the_command_that_decides(tmp_path: Path) -> None:
    answers: dict[str, str] = {}
    with Sink(answers=answers, keywords=()) as sink:
        more = f"relayhost = [127.0.0.1]:{sink.port}\nsmtp_address_verify_target = data\naddress_verify_sender =\n"
        assert isinstance(ask(tmp_path, "x@else.example", more), Delivered)
        sink.answers["DATA"] = "550 5.1.1 now I tell you"
        refused = ask(tmp_path, "x@else.example", more)
        assert isinstance(refused, BouncedDelivery) and "in reply to DATA command" in refused.text
        assert sink.messages == []
        assert all("<>" in line for _, line in sink.commands if line.startswith("MAIL"))


def test_nobody_there(tmp_path: Path) -> None:
    outcome = ask(tmp_path, "x@else.example", "relayhost = [127.0.0.1]:1\n")
    assert isinstance(outcome, DeferredDelivery) and "Connection refused" in outcome.text
