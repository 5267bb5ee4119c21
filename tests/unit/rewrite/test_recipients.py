"""Listed recipients and alias expansion: LOCAL_RECIPIENT_README, ADDRESS_CLASS_README, aliases(5)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.rewrite.aliases import Address, Aliases, Command, File, Include, Loop, Source, Target, User
from tayori.rewrite.classes import Classes
from tayori.rewrite.recipients import Listing
from tayori.rewrite.results import Deferred, Unlisted
from tayori.tables.registry import Tables

HOME = {
    "myhostname": "mail.example.com",
    "mydomain": "example.com",
    "myorigin": "$mydomain",
    "mydestination": "$myhostname, $mydomain",
    "virtual_mailbox_domains": "v.org",
    "virtual_mailbox_maps": "inline:{box@v.org=x, @w.v.org=x}",
    "virtual_alias_domains": "a.org",
    "virtual_alias_maps": "inline:{known@a.org=taro}",
    "relay_domains": "r.org",
    "recipient_delimiter": "+",
    "local_recipient_maps": "inline:{taro=x, hanako@example.com=x}",
}


def listing(**values: str) -> Listing:
    settings = Settings.of(HOME | values)
    tables = Tables(settings)
    return Listing(settings, tables, Classes(settings, tables))


def recipient(address: str, **values: str) -> str:
    answer = asyncio.run(listing(**values).recipient(address))
    if isinstance(answer, Unlisted):
        return f"{answer.code} {answer.enhanced} {answer.text}"
    return "deferred" if isinstance(answer, Deferred) else "listed"


LOCAL = "550 5.1.1 Recipient address rejected: User unknown in local recipient table"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("taro@example.com", "listed"),
        ("taro+lists@mail.example.com", "listed"),
        ("hanako@example.com", "listed"),
        ("hanako@mail.example.com", LOCAL),
        ("jiro@example.com", LOCAL),
        ("jiro", LOCAL),
        ("postmaster", "listed"),
        ("POSTMASTER", "listed"),
        ("box@v.org", "listed"),
        ("box+x@v.org", "listed"),
        ("no@v.org", "550 5.1.1 Recipient address rejected: User unknown in virtual mailbox table"),
        ("known@a.org", "listed"),
        ("no@a.org", "550 5.1.1 Recipient address rejected: User unknown in virtual alias table"),
        ("any@r.org", "listed"),
        ("any@else.org", "listed"),
    ],
)
def test_recipients(address: str, expected: str) -> None:
    assert recipient(address) == expected


def test_empty_maps_list_everybody_and_codes_follow_parameters() -> None:
    assert recipient("jiro@example.com", local_recipient_maps="") == "listed"
    assert recipient("no@v.org", virtual_mailbox_maps="") == "listed"
    assert recipient("jiro@example.com", unknown_local_recipient_reject_code="450").startswith("450 5.1.1")
    assert recipient("no@r.org", relay_recipient_maps="inline:{a@r.org=x}").endswith("in relay recipient table")
    assert recipient("jiro@example.com", show_user_unknown_table_name="no").endswith("rejected: User unknown")


def test_canonical_and_virtual_count_as_listed() -> None:
    for name in ("canonical_maps", "recipient_canonical_maps", "virtual_alias_maps"):
        assert recipient("jiro@example.com", **{name: "inline:{jiro=else@where.org}"}) == "listed", name
    assert recipient("jiro@example.com", sender_canonical_maps="inline:{jiro=x@y.z}") == LOCAL


def test_the_error_transport_refuses_at_once() -> None:
    values = {
        "transport_maps": "inline:{{t.org=error:no mail}, {d.org=error:5.7.8 custom text}}",
        "relocated_maps": "inline:{old@example.com=new@else.org}",
    }
    assert recipient("x@t.org", **values) == "550 5.1.1 Recipient address rejected: no mail"
    assert recipient("x@d.org", **values) == "550 5.7.8 Recipient address rejected: custom text"
    moved = "550 5.1.6 Recipient address rejected: User has moved to new@else.org"
    assert recipient("old@example.com", **values) == moved
    assert recipient("x@else.org", **values) == "listed"
    assert recipient("no@a.org", **values).endswith("User unknown in virtual alias table")


def test_a_virtual_alias_of_what_it_is_routed_to_counts() -> None:
    """As seen with Postfix: the address after routing is looked up, before the error transport refuses it."""
    values = {"transport_maps": "inline:{{no.org=error:5.1.2 gone}}", "virtual_alias_maps": "inline:{f@no.org=taro}"}
    assert recipient("f%no.org@example.com", **values) == "listed"
    assert recipient("no.org!f@example.com", **values) == "listed"
    assert recipient("g%no.org@example.com", **values) == "550 5.1.2 Recipient address rejected: gone"


def test_own_names_and_routed_addresses() -> None:
    for name in ("Postmaster", "mailer-daemon", "double-bounce"):
        assert recipient(f"{name}@example.com") == "listed"
    assert recipient("postmaster@v.org").startswith("550")
    assert recipient("jiro@v.org@example.com").endswith("User unknown in virtual mailbox table")
    assert recipient("x%else.org@example.com") == "listed"


def test_a_table_that_fails_is_never_unknown() -> None:
    for name in ("local_recipient_maps", "canonical_maps", "relocated_maps"):
        assert recipient("jiro@example.com", **{name: "fail:x"}) == "deferred", name
    assert recipient("no@v.org", virtual_mailbox_maps="fail:x") == "deferred"


def test_senders() -> None:
    answer = asyncio.run(listing().sender("jiro@example.com"))
    assert isinstance(answer, Unlisted)
    assert (answer.enhanced, answer.text) == (
        "5.1.0",
        "Sender address rejected: User unknown in local recipient table",
    )
    assert asyncio.run(listing().sender("")) is None
    assert asyncio.run(listing(sender_canonical_maps="inline:{jiro=x@y.z}").sender("jiro@example.com")) is None


ALIASES = """# aliases
root: taro
Postmaster: root
team: taro, hanako@example.com, out@else.org, "Taro Y." <t@else.org>
self: self, other@else.org
ping: pong
pong: ping
deep: team, root
script: "|/usr/bin/prog -a 'x y'", /var/log/mail.txt, :include:/etc/list
direct: \\root
ext+one: special@else.org
owner-team: hanako
"""


def expand(tmp_path: Path, name: str, **values: str) -> tuple[Target, ...] | Deferred | None:
    file = tmp_path / "aliases"
    file.write_text(ALIASES)
    settings = Settings.of(HOME | {"alias_maps": f"hash:{file}"} | values)
    return asyncio.run(Aliases(settings, Tables(settings)).expand(name))


def test_aliases(tmp_path: Path) -> None:
    taro = User("taro")
    assert expand(tmp_path, "taro") is None
    assert expand(tmp_path, "ROOT") == (taro,)
    assert expand(tmp_path, "postmaster") == (taro,)
    owner = "owner-team"
    team = (
        User("taro", owner=owner),
        User("hanako", owner=owner),
        Address("out@else.org", owner),
        Address("t@else.org", owner),
    )
    assert expand(tmp_path, "team") == expand(tmp_path, "team+x") == expand(tmp_path, "deep") == team
    assert expand(tmp_path, "self") == (User("self"), Address("other@else.org"))
    assert expand(tmp_path, "direct") == (taro,)
    assert expand(tmp_path, "ext+one") == (Address("special@else.org"),)
    assert expand(tmp_path, "ping") == (Loop("ping"),)
    source = Source("alias", f"{tmp_path}/aliases")
    assert expand(tmp_path, "script+x") == (
        Command("/usr/bin/prog -a 'x y'", source),
        File("/var/log/mail.txt", source),
        Include("/etc/list", source, extension="+x"),
    )
    assert expand(tmp_path, "root+x", propagate_unmatched_extensions="alias") == (User("taro+x"),)


def test_owner_and_failing_tables(tmp_path: Path) -> None:
    assert isinstance(expand(tmp_path, "root", alias_maps="fail:x"), Deferred)
    assert expand(tmp_path, "root", alias_maps=f"hash:{tmp_path}/absent") is None
    assert expand(tmp_path, "root", alias_maps="") is None
    settings = Settings.of(HOME | {"alias_maps": f"hash:{tmp_path}/aliases"})
    assert asyncio.run(Aliases(settings, Tables(settings)).owner("team+x")) == "owner-team"
    assert asyncio.run(Aliases(settings, Tables(settings)).owner("root")) is None
