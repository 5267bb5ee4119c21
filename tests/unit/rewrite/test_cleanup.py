"""What cleanup(8) does to envelope, header and body. Expected values were compared with Postfix 3.7."""

from __future__ import annotations

import asyncio
import mmap
import time
from pathlib import Path

import pytest

from tayori.config.settings import Settings
from tayori.rewrite.classes import Classes
from tayori.rewrite.cleanup import Cleanup, Incoming
from tayori.rewrite.generic import Generic
from tayori.rewrite.results import Cleaned, Rewritten
from tayori.tables.registry import Tables

HOME = {
    "myhostname": "mail.example.com",
    "mydomain": "example.com",
    "myorigin": "$mydomain",
    "mydestination": "$myhostname, $mydomain",
    "recipient_delimiter": "+",
    "compatibility_level": "3.6",
}
MESSAGE = b'From: Taro <taro>\nTo: a, b@c, "D, E" <d@e.org>\nSubject: x\n\nbody\n'


def clean(
    sender: str = "s@s.org",
    recipients: tuple[str, ...] = ("r@r.org",),
    content: bytes = MESSAGE,
    remote: bool = True,
    internal: bool = False,
    overrides: tuple[str, ...] = (),
    about: str = "",
    **values: str,
) -> Cleaned:
    settings = Settings.of(HOME | values)
    message = Incoming(
        sender,
        tuple(Rewritten(name, name) for name in recipients),
        content,
        b"Received: ours\n",
        remote,
        1_700_000_000.0,
        "ABC",
        internal=internal,
        about=about,
        overrides=frozenset(overrides),
    )
    return asyncio.run(Cleanup(settings, Tables(settings)).clean(message))


def where(cleaned: Cleaned) -> list[tuple[str, str]]:
    assert cleaned.reject is None, cleaned
    return [(one.address, one.original) for one in cleaned.recipients]


def test_plain_remote_mail_is_left_as_it_is() -> None:
    cleaned = clean("taro", ("hanako", "x@c.org", "hanako"))
    assert cleaned.sender == "taro@example.com"
    assert where(cleaned) == [("hanako@example.com", "hanako"), ("x@c.org", "x@c.org")]
    assert cleaned.content == b"Received: ours\n" + MESSAGE
    assert clean("").sender == ""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"Subject: x\nnot a header\n\nz\n", b"Subject: x\n\nnot a header\n\nz\n"),
        (b"not a header\n", b"\nnot a header\n"),
        (b"\nbody only\n", b"\nbody only\n"),
        (b"Subject: only\n", b"Subject: only\n"),
        (b"", b""),
    ],
)
def test_where_the_header_ends(content: bytes, expected: bytes) -> None:
    assert clean(content=content).content == b"Received: ours\n" + expected


def test_message_id_is_found() -> None:
    assert clean(content=b"X: y\nmessage-id: <a@b>\n\nMessage-ID: <no@no>\n").message_id == "<a@b>"
    assert clean(content=b"Message-ID:\n <folded@b>\n\n").message_id == "<folded@b>"
    assert clean(content=b"Bcc: q\nMessage-ID: <a@b>\n\n").message_id == "<a@b>"


def test_hops() -> None:
    assert clean(content=b"Received: x\n" * 48 + b"\n").reject is None
    assert clean(content=b"Received: x\n" * 49 + b"\n").reject == (554, "5.4.0", "Error: too many hops")
    assert clean(content=b"\n" + b"Received: x\n" * 60).reject is None


def test_fields_that_are_dropped() -> None:
    content = b"Bcc: secret,\n more\nContent-Length: 5\nReturn-Path: <x>\nSubject: x\n\nBcc: stays\n"
    assert clean(content=content).content == b"Received: ours\nSubject: x\n\nBcc: stays\n"
    assert b"secret" in clean(content=content, message_drop_headers="return-path").content


def test_local_mail_is_completed() -> None:
    content = clean("taro", content=MESSAGE, remote=False).content
    assert content.startswith(
        b'Received: ours\nFrom: Taro <taro@example.com>\nTo: a@example.com, b@c, "D, E" <d@e.org>\nSubject: x\n'
        b"Message-Id: <20231114221320.ABC@mail.example.com>\nDate: Tue, 14 Nov 2023 "
    )
    content = clean("taro@h", content=b"Resent-To: q\nSubject: x\n\nx\n", remote=False).content
    assert (
        b"\nResent-Message-Id: <" in content and b"\nResent-From: taro@h\n" in content and b"\nDate:" not in content
    )
    assert b"\nFrom: MAILER-DAEMON\n" in clean("", content=b"Subject: x\n\n", remote=False).content
    assert b"Date:" in clean(content=b"\n", always_add_missing_headers="yes").content


def test_undisclosed_recipients() -> None:
    values = {"undisclosed_recipients_header": "To: undisclosed-recipients:;"}
    assert b"\nTo: undisclosed-recipients:;\n" in clean(content=b"Bcc: x\n\n", remote=False, **values).content
    assert b"undisclosed" not in clean(content=b"Cc: x@y.z\n\n", remote=False, **values).content
    assert b"undisclosed" not in clean(content=b"Bcc: x\n\n", **values).content


def test_remote_header_domain_and_forms() -> None:
    content = clean(content=MESSAGE, remote_header_rewrite_domain="domain.invalid").content
    assert b"<taro@domain.invalid>" in content and b"To: a@domain.invalid, b@c, " in content
    header = b'From: a@h\nTo: grp: a, b@h ; , c (x) , <d>\nCc: @r:e@f, x%y, h!u, "q q"@h\n\n'
    content = clean(content=header, remote=False, append_dot_mydomain="yes").content
    assert b"From: a@h.example.com\n" in content
    assert b"To: grp: a@example.com, b@h.example.com;, c@example.com (x),\n\t<d@example.com>\n" in content
    assert b'Cc: e@f.example.com, x@y.example.com, u@h.example.com,\n\t"q q"@h.example.com\n' in content


def test_canonical() -> None:
    maps = (
        "inline:{taro=Taro.Yamada, hanako@example.com=hana@else.org, @old.org=@new.org,"
        " a@l1.org=a@l2.org, a@l2.org=a@l3.org}"
    )
    content = b"From: taro\nTo: hanako, who+z@old.org\nReply-To: taro+r\n\nx\n"
    cleaned = clean("taro+x", ("hanako", "who+z@old.org", "a@l1.org"), content, False, canonical_maps=maps)
    assert cleaned.sender == "Taro.Yamada+x@example.com"
    assert [address for address, _ in where(cleaned)] == ["hana@else.org", "who+z@new.org", "a@l3.org"]
    assert b"From: Taro.Yamada@example.com\nTo: hana@else.org, who+z@new.org\n" in cleaned.content
    assert b"Reply-To: Taro.Yamada+r@example.com\n" in cleaned.content
    one = {"canonical_maps": maps, "canonical_classes": "envelope_sender"}
    cleaned = clean("taro", ("taro",), content, False, **one)
    assert (cleaned.sender, where(cleaned)[0][0]) == ("Taro.Yamada@example.com", "taro@example.com")
    assert b"From: taro@example.com\n" in cleaned.content
    circle = clean("a@x.org", canonical_maps="inline:{a@x.org=b@x.org, b@x.org=a@x.org}")
    assert (circle.reject, circle.sender) == (None, "a@x.org")


def test_masquerade() -> None:
    content = b"From: root@h.m.org\nTo: a@x.keep.m.org, c@m.org, d@a.b.m.org\n\nx\n"
    values = {"masquerade_domains": "!keep.m.org m.org", "masquerade_exceptions": "root"}
    cleaned = clean("a@host.m.org", ("b@host.m.org",), content, False, **values)
    assert (cleaned.sender, where(cleaned)[0][0]) == ("a@m.org", "b@host.m.org")
    assert b"From: root@h.m.org\nTo: a@x.keep.m.org, c@m.org, d@m.org\n" in cleaned.content


VIRTUAL = """inline:{ {list=a@x.org, b@y.org taro}, {taro=taro@home.org}, {self@example.com=self@example.com},
    {keep@v.org=keep@v.org, c@c.org}, {@cat.org=catch}, {@dd.org=@ee.org}, {ext=plain@p.org} }"""


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("list", ["a@x.org", "b@y.org", "taro@home.org"]),
        ("taro+q", ["taro+q@home.org"]),
        ("self", ["self@example.com"]),
        ("keep@v.org", ["keep@v.org", "c@c.org"]),
        ("any+1@cat.org", ["catch@example.com"]),
        ("u+2@dd.org", ["u+2@ee.org"]),
        ("ext+3@example.com", ["plain+3@p.org"]),
        ("none@n.org", ["none@n.org"]),
    ],
)
def test_virtual_aliases(recipient: str, expected: list[str]) -> None:
    cleaned = clean(recipients=(recipient,), virtual_alias_maps=VIRTUAL)
    assert where(cleaned) == [(address, recipient) for address in expected]


def test_virtual_limits_and_trouble() -> None:
    loop = clean(recipients=("a",), virtual_alias_maps="inline:{{a=b, c},{b=a}}")
    assert loop.reject == (451, "4.6.0", "Alias expansion error")
    values = {"virtual_alias_maps": "inline:{{l=a@x b@x c@x d@x}}"}
    assert clean(recipients=("l",), virtual_alias_expansion_limit="3", **values).reject is not None
    assert clean(recipients=("l",), virtual_alias_expansion_limit="4", **values).reject is None
    deep = {"virtual_alias_maps": "inline:{a=b, b=c, c=d}"}
    assert clean(recipients=("a",), virtual_alias_recursion_limit="1", **deep).reject is not None
    failing = clean(virtual_alias_maps="fail:x")
    assert failing.reject is not None and failing.reject[:2] == (451, "4.3.0") and failing.recipients == ()


def test_duplicates() -> None:
    values = {"virtual_alias_maps": "inline:{x=z@z.org,y=z@z.org}"}
    assert len(where(clean(recipients=("x", "y"), **values))) == 2
    assert len(where(clean(recipients=("x", "y"), enable_original_recipient="no", **values))) == 1


def test_blind_copies() -> None:
    values = {
        "always_bcc": "copy",
        "sender_bcc_maps": "inline:{s@s.org=sb@s.org}",
        "recipient_bcc_maps": "inline:{@q.org=rb@s.org}",
        "virtual_alias_maps": "inline:{copy=copy@c.org}",
    }
    cleaned = clean(recipients=("l@q.org", "m@q.org"), **values)
    assert [address for address, _ in where(cleaned)] == ["l@q.org", "m@q.org", "copy@c.org", "sb@s.org", "rb@s.org"]
    assert {one.notify for one in cleaned.recipients[2:]} == {"NEVER"}
    assert len(where(clean(recipients=("l@q.org",), internal=True, **values))) == 1
    assert len(where(clean(recipients=("l@q.org",), overrides=("no_address_mappings",), **values))) == 1


CHECKED = (
    b"From: x@y.org\nSubject: spam offer\nX-Foo: bar\n baz\nMIME-Version: 1.0\n"
    b'Content-Type: multipart/mixed; boundary="bb"\n\npre\n--bb\nContent-Type: text/plain; name=evil.exe\n\n'
    b"hello world\nfoo line\n--bb\nContent-Type: message/rfc822\n\nSubject: nested spam\n\ninner foo\n--bb--\n"
    b"epilogue foo\n"
)


def check(action: str, name: str = "header_checks", pattern: str = "^Subject: .*spam", **values: str) -> Cleaned:
    return clean(content=CHECKED, **values, **{name: f"pcre:{{{{/{pattern}/ {action}}}}}"})


def test_check_actions() -> None:
    assert check("REJECT").reject == (550, "5.7.1", "message content rejected")
    assert check("REJECT no spam").reject == (550, "5.7.1", "no spam")
    assert check("REJECT 4.7.0 later").reject == (451, "4.7.0", "later")
    assert check("DISCARD").discard and not check("DUNNO").discard
    assert check("HOLD why").hold == "why"
    assert check("FILTER smtp:[1.2.3.4]").filter == "smtp:[1.2.3.4]"
    assert where(check("REDIRECT o@o.org")) == [("o@o.org", "r@r.org")]
    assert [one[0] for one in where(check("BCC o@o.org"))] == ["r@r.org", "o@o.org"]
    assert b"spam" not in check("IGNORE").content
    assert (
        b"spam" not in check("strip gone").content
        and "strip: header Subject: spam offer: gone" in check("STRIP gone").notes
    )
    assert check("PREPEND X-New: y").content.count(b"\nX-New: y\nSubject: ") == 2
    assert b"\nSubject: new\nX-Foo" in check("REPLACE Subject: new").content
    assert check("REPLACE bad label").content.endswith(CHECKED) and len(check("REPLACE bad label").notes) == 2
    assert check("WARN w").notes[0] == "warning: header Subject: spam offer: w"
    assert check("PASS").notes == ("pass: header Subject: spam offer",)
    assert check("NONSENSE x").content.endswith(CHECKED)


def test_checks_see_whole_fields_and_our_own_received() -> None:
    assert b"X-Got: it\nMIME" in check("REPLACE X-Got: it", pattern="^X-Foo: bar\\n baz").content
    assert not check("IGNORE", pattern="^Received:").content.startswith(b"Received")
    assert check("IGNORE", pattern="^Received:", overrides=("no_header_body_checks",)).content.startswith(b"Received")


def test_each_list_sees_its_part() -> None:
    assert check("IGNORE", "mime_header_checks", "evil").content.count(b"Content-Type") == 2
    assert b"nested" not in check("IGNORE", "nested_header_checks", "spam").content
    assert b"spam offer" in check("IGNORE", "nested_header_checks", "spam").content
    assert check("REPLACE bar", "body_checks", "foo").content.count(b"\nbar\n") == 3
    assert b"spam offer" in check("IGNORE", "body_checks", "spam").content
    limited = check("IGNORE", "body_checks", "foo", body_checks_size_limit="12").content
    assert b"foo line" in limited and b"inner foo" not in limited


def test_notes_name_the_session() -> None:
    about = "from h[192.0.2.1]; from=<s@s.org> to=<r@r.org> proto=ESMTP helo=<h>"
    assert check("REJECT 5.7.9 no", about=about).notes == (f"reject: header Subject: spam offer {about}: 5.7.9 no",)


def test_a_failing_check_table_refuses_for_now() -> None:
    cleaned = clean(header_checks="fail:x")
    assert cleaned.reject is not None and cleaned.reject[0] == 451


def test_long_fields_lose_the_lines_that_begin_beyond_the_limit() -> None:
    first = b"Subject: " + b"y" * 80 + b"\n"
    content = clean(content=first + b" more\nX: 1\n\nz\n", header_size_limit="40").content
    assert content == b"Received: ours\n" + first + b"X: 1\n\nz\n"
    content = clean(content=b"Subject: " + b"y" * 9000 + b"\n\nz\n", header_size_limit="40").content
    assert content == b"Received: ours\nSubject: " + b"y" * (40 + 2048 - 9) + b"\n\nz\n"


def test_generic() -> None:
    settings = Settings.of(HOME | {"smtp_generic_maps": "inline:{taro=me@isp.net, @example.com=box@isp.net}"})
    tables = Tables(settings)
    generic = Generic(settings, tables, Classes(settings, tables))
    assert asyncio.run(generic.map("taro@example.com")) == "me@isp.net"
    assert asyncio.run(generic.map("x+y@example.com")) == "box@isp.net"
    assert asyncio.run(generic.map("x@else.org")) == "x@else.org"
    assert asyncio.run(generic.map("")) == ""
    content = (
        b"From: T <taro@example.com>\nX: taro@example.com\nTo: a@else.org,\n x@example.com\n\ntaro@example.com\n"
    )
    assert asyncio.run(generic.content(content)) == (
        b"From: T <me@isp.net>\nX: taro@example.com\nTo: a@else.org, box@isp.net\n\ntaro@example.com\n"
    )


def test_the_plain_way_is_short() -> None:
    settings = Settings.of(HOME)
    cleanup = Cleanup(settings, Tables(settings))
    content = b"From: a@b.c\n" + b"X-Field: forty characters of text in here\n" * 15 + b"\n" + b"z" * 71 * 48
    message = Incoming("a@b.c", (Rewritten("r@r.org", "r@r.org"),), content, b"Received: ours\n")

    async def many() -> float:
        started = time.perf_counter()
        for _ in range(500):
            await cleanup.clean(message)
        return (time.perf_counter() - started) / 500

    assert min(asyncio.run(many()) for _ in range(3)) < 250e-6


LONG = (
    b"Content-Type: multipart/mixed; boundary=b\nReceived: x\n\npreamble\n--b\nContent-Type: text/plain\n\n"
    + b"some line of text\n" * 20_000
    + b"bad line\n--b\nContent-Type: message/rfc822\n\nSubject: nested\n\nold\nnew\n--b--\n"
)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"body_checks": "pcre:{ {/^bad/ IGNORE} {/^new/ REPLACE newer} {/^old/ PREPEND older} }"},
        {"body_checks": "pcre:{ {/^bad/ IGNORE} }", "body_checks_size_limit": "0"},
        {"mime_header_checks": "pcre:{ {/text.plain/ REPLACE Content-Type: text/html} }"},
        {"nested_header_checks": "pcre:{ {/^Subject/ REJECT no nested mail} }"},
        {"header_checks": "pcre:{ {/^Received: x/ IGNORE} }", "always_add_missing_headers": "yes"},
        {"body_checks": "pcre:{ {/^bad/ DISCARD} }"},
    ],
)
@pytest.mark.parametrize("content", [LONG, b"no header at all\n" + LONG, LONG[: LONG.index(b"\n\n") + 1]])
def test_a_mapped_message_is_cleaned_as_one_in_memory(tmp_path: Path, values: dict[str, str], content: bytes) -> None:
    """What is left of a mapped one is its new header, what that replaces, and the edits in the rest."""
    wanted = clean(content=content, **values)
    (tmp_path / "content").write_bytes(content)
    with (
        (tmp_path / "content").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view,
    ):
        got = clean(content=view, **values)  # type: ignore[arg-type]
    whole, at = got.content, got.cut
    for start, end, new in got.edits:
        whole += content[at:start] + new
        at = end
    whole += content[at:]
    if wanted.reject is None:
        assert whole == wanted.content
    for name in ("reject", "recipients", "message_id", "notes", "discard", "hold"):
        assert getattr(got, name) == getattr(wanted, name)
    assert len(got.content) < 1000


def test_a_header_without_end_is_refused_where_it_would_fill_memory(tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(b"a: b\n" * 300_000 + b"\nbody\n")
    with (
        (tmp_path / "content").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view,
    ):
        got = clean(content=view)  # type: ignore[arg-type]
    assert got.reject == (552, "5.3.4", "Message header size exceeds fixed limit")
