"""8-bit MIME to 7-bit: what a real Postfix 3.7 was seen to send to a server without 8BITMIME."""

from __future__ import annotations

import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.protocol.seven_bit import SevenBit, labelled, seven_bit

EIGHT = b"Content-Transfer-Encoding: 8bit\n"
QP = b"Content-Transfer-Encoding: quoted-printable\n"
TEXT = b"Content-Type: text/plain; charset=utf-8\n"


def turned(text: str | bytes) -> bytes:
    return seven_bit(text.encode() if isinstance(text, str) else text)[0]


def test_a_text() -> None:
    assert turned(TEXT + EIGHT + "X: y\n\nGrüße =\nplain \n.\n".encode()) == (
        TEXT + b"X: y\n" + QP + b"\nGr=C3=BC=C3=9Fe =3D\nplain=20\n=2E\n"
    )
    assert seven_bit(TEXT + EIGHT + "\nGrüße".encode()) == (TEXT + QP + b"\nGr=C3=BC=C3=9Fe", 1)


@pytest.mark.parametrize("label", ["8bit", "8BIT", "binary", " 8bit (why)", "\n 8bit"])
def test_labels(label: str) -> None:
    assert QP in turned(f"Content-Transfer-Encoding:{label}\n\nü\n")
    assert labelled(f"A: b\nContent-Transfer-Encoding:{label}\n".encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Subject: ü\n\nü\n",
        "Content-Type: text/plain\n\nü\n",
        "Content-Transfer-Encoding: base64\n\nR3LDvMOfZQ==\n",
        "Content-Transfer-Encoding: quoted-printable\n\nü\n",
        "Content-Transfer-Encoding: 7bit\n\nü\n",
        "Content-Transfer-Encoding: x-8bit\n\nü\n",
        "Content-Type: message/partial; id=x\nContent-Transfer-Encoding: 8bit\n\nSubject: ü\n\nü\n",
        "no header ü\n",
    ],
)
def test_left_alone(text: str) -> None:
    assert seven_bit(text.encode()) == (text.encode(), 0)


def test_multipart() -> None:
    content = """\
Content-Type: multipart/mixed; boundary="b 1"
Content-Transfer-Encoding: 8bit
Subject: x

prämble
--b 1
Content-Transfer-Encoding: 8bit
Content-Type: text/plain; charset=utf-8

Grüße
--b1
--b 1
Content-Type: multipart/alternative; boundary=b2
Content-Transfer-Encoding: 8bit

--b2
Content-Type: text/html
Content-Transfer-Encoding: binary

ü
--b2
ü without a header
--b2--
Content-Transfer-Encoding: 8bit
--b 1
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner ü
Content-Transfer-Encoding: 8bit

nested ü
--b 1--
epilög
"""
    assert (
        turned(content).decode()
        == """\
Content-Type: multipart/mixed; boundary="b 1"
Subject: x
Content-Transfer-Encoding: 7bit

prämble
--b 1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe
--b1
--b 1
Content-Type: multipart/alternative; boundary=b2
Content-Transfer-Encoding: 7bit

--b2
Content-Type: text/html
Content-Transfer-Encoding: quoted-printable

=C3=BC
--b2
ü without a header
--b2--
Content-Transfer-Encoding: 8bit
--b 1
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

Subject: inner ü
Content-Transfer-Encoding: quoted-printable

nested =C3=BC
--b 1--
epilög
"""
    )


def test_digest_and_message() -> None:
    inner = "Subject: ü\nContent-Transfer-Encoding: 8bit\n\nü\n"
    made = "Subject: ü\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n"
    digest = "Content-Type: multipart/digest; boundary=b\n\n--b\n\n{}--b--\n"
    assert turned(digest.format(inner)).decode() == digest.format(made)
    message = "Content-Type: message/rfc822\nContent-Transfer-Encoding: {}\n\n{}"
    assert turned(message.format("8bit", inner)).decode() == message.format("7bit", made)
    assert QP in turned("Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n\nSubject: ü\n\nü\n")


def test_nesting_has_an_end() -> None:
    deep = b"".join(b"--%d\nContent-Type: multipart/mixed; boundary=%d\n\n" % (n, n + 1) for n in range(300))
    content = b"Content-Type: multipart/mixed; boundary=0\n\n" + deep + b"--300\n" + EIGHT + "\nü\n".encode()
    assert turned(content) == content
    rings = b"Content-Type: message/rfc822\n\n" * 1000
    assert turned(rings) == rings


LINES = st.lists(
    st.sampled_from(
        [b"", b"--b", b"--b--", b"--c", EIGHT.strip(), TEXT.strip(), b"Content-Type: multipart/mixed; boundary=b", b" x",
         b"Content-Type: message/rfc822", "Grüße".encode(), b"a\r", b"=\xff. ", b"x" * 100]
    ),
    max_size=20,
)  # fmt: skip


@given(LINES, st.integers(1, 30))
def test_pieces_make_the_whole_and_lines_stay_short(lines: list[bytes], step: int) -> None:
    content = b"\n".join(lines)
    work = SevenBit()
    pieces = b"".join(work.feed(content[at : at + step]) for at in range(0, len(content), step)) + work.end()
    assert pieces == turned(content)


@given(st.binary(max_size=400))
def test_the_body_comes_back(body: bytes) -> None:
    head, _, made = turned(EIGHT + b"\n" + body).partition(b"\n\n")
    assert head + b"\n" == QP
    assert quopri.decodestring(made) == body
    assert made.isascii() and all(len(line) <= 76 for line in made.split(b"\n"))


def test_a_long_line_needs_no_memory() -> None:
    work = SevenBit()
    out = [work.feed(EIGHT + b"\n")]
    out += [work.feed(b"\xc3\xbc" * 40000) for _ in range(10)]
    assert work.parts == 1 and len(work._tail) < 100000
    out.append(work.feed(b"\n--b\n"))
    out.append(work.end())
    assert quopri.decodestring(b"".join(out).partition(b"\n\n")[2]) == "ü".encode() * 400000 + b"\n--b\n"
