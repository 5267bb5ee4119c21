"""smtpd_reject_footer and its maps."""

from __future__ import annotations

import asyncio

import pytest

from tayori.config.settings import Settings
from tayori.policy.facts import ClientFacts, Facts
from tayori.policy.footer import Footer
from tayori.protocol.reply import Reply
from tayori.tables.registry import Tables

FACTS = Facts(ClientFacts("192.0.2.9", 4711, "host.ex.org"), sender="a\r\nb$c@d.e")
NO = Reply(550, "5.5.3", "no")


@pytest.mark.parametrize(
    ("settings", "reply", "text"),
    [
        ({}, NO, "no"),
        ({"smtpd_reject_footer": "foot $client_name"}, NO, "no\nfoot host.ex.org"),
        ({"smtpd_reject_footer": r"\c. Port $client_port at $localtime"}, NO, "no. Port 4711 at Jan  4 15:42:00"),
        ({"smtpd_reject_footer": r"a\nb $server_name"}, NO, "no\na\nb m.x"),
        ({"smtpd_reject_footer": "from $sender"}, NO, "no\nfrom a__b$c@d.e"),
        ({"smtpd_reject_footer": "$myhostname|$nosuch"}, NO, "no\n|"),
        ({"smtpd_reject_footer": "bad ${"}, NO, "no"),
        ({"smtpd_reject_footer": "foot"}, Reply(250, "2.0.0", "ok"), "ok"),
        ({"smtpd_reject_footer_maps": "inline:{{550 5.5.3 no=mapped}}"}, NO, "no\nmapped"),
        ({"smtpd_reject_footer": "from $sender", "smtpd_expansion_filter": r"\141-c$"}, NO, "no\nfrom a___$c____"),
        (
            {"smtpd_reject_footer": "from $sender", "smtpd_expansion_filter": r"\n\r\101-Za-z"},
            NO,
            "no\nfrom a_________",
        ),
        ({"smtpd_reject_footer_maps": "inline:{{x=mapped}}", "smtpd_reject_footer": "f"}, NO, "no\nf"),
    ],
)
def test_footer(settings: dict[str, str], reply: Reply, text: str) -> None:
    conf = Settings.of({"myhostname": "m.x", **settings})
    footer = Footer(conf, Tables(conf), lambda: "Jan  4 15:42:00")
    assert asyncio.run(footer.apply(reply, FACTS)).text == text


@pytest.mark.parametrize(
    ("table", "reply", "said"),
    [
        ("regexp:{{/^550 5\\.5\\.3 (.*)/ 550 5.7.1 other $$1}}", Reply(550, "5.7.1", "other no"), ""),
        ("static:{450 4.7.1 come back}", Reply(450, "4.7.1", "come back"), ""),
        ("static:{521 gone}", Reply(521, "", "gone"), ""),
        ("inline:{x=y}", NO, ""),
        ("static:{250 2.0.0 fine}", NO, "is no 4xx or 5xx reply"),
        ("static:{550 4.7.1 mixed}", NO, "is no 4xx or 5xx reply"),
        ("static:{550}", NO, "is no 4xx or 5xx reply"),
        ("fail:broken", NO, "the reply stays as it is"),
    ],
)
def test_another_reply(table: str, reply: Reply, said: str, caplog: pytest.LogCaptureFixture) -> None:
    conf = Settings.of({"myhostname": "m.x", "smtpd_reject_filter_maps": table, "smtpd_reject_footer": r"\c"})
    footer = Footer(conf, Tables(conf), lambda: "")
    assert asyncio.run(footer.apply(NO, FACTS)) == reply
    assert said in caplog.text and bool(said) == bool(caplog.text)
    assert asyncio.run(footer.apply(Reply(250, "2.0.0", "ok"), FACTS)) == Reply(250, "2.0.0", "ok")
