"""The address list of a header field (RFC 5322 3.4, and all that people put there instead), taken apart, and written
anew as cleanup(8) writes a field in which an address has changed.

It is read from its end, for there a `>` or a `;` says what the words before it are:

- `<…>`: everything in between is one address; the words before it, back to a comma, are its phrase
- `name: …;`: a group; the words before the colon, back to a comma, are its name
- elsewhere each word is an address, with whatever a `.`, an `@` or a stray special character joins to it; two words
  side by side are two addresses, and a comma is put between them
- the comments in an address go behind it
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tayori.protocol.address import quote, quoted_string

FOLD_AT = 70
_BLANK = " \t\r\n\v\f"
_ATOM = re.compile(r'(?:[^ \t\r\n\v\f()<>@,;:.!%\[\]"\\]|\\.?)+', re.DOTALL)
_BLANKS = re.compile(rf"[{_BLANK}]+")
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_PLAIN_ATOM = re.compile(r'[^\x00-\x20()<>@,;:.\[\]"\\\x7f]+\Z')
_ROUTE = re.compile(r"@[^:]*:")
_COMMAS = re.compile(r", *")
_WORDS = frozenset("wql")
_NAMED = "group"


@dataclass(frozen=True, slots=True)
class Token:
    """What is no address. `kind`: `w` a word, `q` a quoted string, `l` a literal in square brackets, `c` a comment,
    `group` the colon after a group's name, else the special character itself. `text`: comments and literals as
    written, all else without quotes."""

    kind: str
    text: str


@dataclass(slots=True)
class Address:
    """`address`: its internal form; `tight`: without the blanks that cleanup(8) puts before a stray `<` and behind a
    comma. `text`: how it stands in the field, but for blanks and comments. `bare`: it stands outside of <>. `empty`:
    it has no word, as in `<>` or where only a comment is. `signs`: those of `@!%` in it outside of quotes. `torn`:
    two of its words stand side by side."""

    address: str
    text: str
    comments: tuple[str, ...] = ()
    bare: bool = True
    empty: bool = False
    signs: str = ""
    torn: bool = False
    tight: str = ""

    def becomes(self, address: str) -> bool:
        """Write this address in its place; whether that is another text."""
        before, self.address, self.text = self.text, address, _written(address)
        return self.text != before


def _written(address: str) -> str:
    # what looks like a source route is not quoted; a domain that was in quotes is read anew
    local, at, domain = address.rpartition("@")
    if at and " " in domain:
        address = f"{local}@{_spaced(tokens(domain))}"
    route = _ROUTE.match(address)
    if route is None:
        return quote(address) or '""'
    return _COMMAS.sub(", ", route.group()) + (quote(address[route.end() :]) or '""')


def _spaced(found: list[Token]) -> str:
    text = behind = ""
    for token in found:
        if behind == "," or (behind in _WORDS | {"c"} and token.kind in _WORDS | {"c", "<"}):
            text += " "
        text += _word(token)
        behind = token.kind
    return text


Item = Token | Address


def parse(text: str, limit: int = 0) -> list[Item]:
    """The parts of an address list. Takes whatever stands there; never raises. `limit`: of so many words, special
    characters and comments; the rest is left out (postconf(5) header_address_token_limit). 0: all."""
    reader = _Reader()
    for token in reversed(tokens(text.rstrip("\n"), limit)):
        reader.take(token)
    return reader.items()


def addresses(items: Iterable[Item]) -> Iterator[Address]:
    """Those in it that have words."""
    return (item for item in items if isinstance(item, Address) and not item.empty)


@dataclass(slots=True)
class _Reader:
    """Takes tokens from the last to the first. `where`: outside, inside (of <>), phrase, or name (of a group)."""

    where: str = "outside"
    grouped: bool = False
    part: list[Token] = field(default_factory=list)
    out: list[Item] = field(default_factory=list)

    def items(self) -> list[Item]:
        """All, in order."""
        if self.part:
            self._address()
        return self.out[::-1]

    def take(self, token: Token) -> None:
        """One more, which stands before those taken."""
        kind = token.kind
        if self.where == "inside":
            if kind == "<":
                self._address()
                self._put(token, "phrase")
            else:
                self.part.append(token)
        elif kind == ",":
            self._put(token, "outside")
        elif self.where == "name":
            self._put(token, "name")
        elif kind == ">":
            self._put(token, "inside")
        elif kind == ":" and self.grouped:
            self._put(Token(_NAMED, ":"), "name")
        elif kind == ";":
            self.grouped = True
            self._put(token, "outside")
        elif self.where == "phrase":
            self._put(token, "outside" if kind == ":" else "phrase")
        else:
            self._join(token)

    def _put(self, token: Token, where: str) -> None:
        if self.part:
            self._address()
        self.out.append(token)
        self.where = where

    def _join(self, token: Token) -> None:
        if token.kind in _WORDS:
            behind = next((one.kind for one in reversed(self.part) if one.kind != "c"), "")
            if behind in _WORDS:
                self._address()
        self.part.append(token)

    def _address(self) -> None:
        part = self.part[::-1]
        comments = tuple(token.text for token in part if token.kind == "c")
        words = [token for token in part if token.kind != "c"]
        signs = "".join(token.kind for token in words if token.kind in "@!%")
        text = "".join(", " if token.kind == "," else _word(token) for token in words)
        torn = any(one.kind in _WORDS and other.kind in _WORDS for one, other in itertools.pairwise(words))
        address, tight = _internal(words), _internal(words, "")
        self.out.append(Address(address, text, comments, self.where != "inside", not words, signs, torn, tight))
        self.part = []


def _internal(words: list[Token], blank: str = " ") -> str:
    out = ""
    behind = ""
    for token in words:
        words_meet = behind in _WORDS and token.kind in _WORDS and (behind, token.kind) != ("w", "w")
        if words_meet:
            out += " "
        elif token.kind == "<" and out:
            out += blank
        out += f",{blank}" if token.kind == "," else token.text
        behind = token.kind
    return out


def written(label: str, items: Iterable[Item]) -> str:
    """`label: value`, LF ended, in lines of less than FOLD_AT characters (the tab not counted) where commas allow."""
    *others, last = _members(items)
    first, *rest = (*(f"{one}," for one in others), last)
    lines = [f"{label}: {first}"]
    for one in rest:
        if len(lines[-1]) + 1 + len(one) < FOLD_AT:
            lines[-1] += f" {one}"
        else:
            lines.append(one)
    return "\n\t".join(lines) + "\n"


def _members(items: Iterable[Item]) -> list[str]:
    """What stands between the commas, those that are put in among them."""
    found: list[str] = []
    text = behind = ""
    for item in items:
        if isinstance(item, Address):
            if item.bare and not item.empty and behind not in ("", ",", _NAMED):
                found.append(text)
                text = ""
            text += " ".join((*([] if item.empty else [item.text]), *item.comments))
            behind = "address"
        elif item.kind == ",":
            found.append(text)
            text, behind = "", ","
        else:
            near = behind in _WORDS or behind == "c"
            if text and behind != _NAMED and (item.kind == "<" or (near and item.kind in "wqlc")):
                text += " "
            text += _word(item)
            behind = item.kind
    found.append(text)
    return found


def _word(token: Token) -> str:
    if token.kind == _NAMED:
        return ": "
    if token.kind == "q":
        return quoted_string(token.text)
    return token.text


def tokens(text: str, limit: int = 0, atoms: re.Pattern[str] = _ATOM) -> list[Token]:
    """The words, comments and special characters of a text; at most `limit` of them, if it is not 0. `atoms`: what
    a word may be."""
    out: list[Token] = []
    at, counted = 0, 0
    while at < len(text) and not (limit and counted >= limit):
        char = text[at]
        counted += 1
        if (blanks := _BLANKS.match(text, at)) is not None:
            at = blanks.end()
            counted -= 1
        elif (atom := atoms.match(text, at)) is not None:
            word = _ESCAPE.sub(r"\1", atom.group())
            out.append(Token("w" if _PLAIN_ATOM.match(word) else "q", word))
            at = atom.end()
        elif char == "(":
            end = _comment_end(text, at)
            out.append(Token("c", text[at:end].replace("\n", " ")))
            at = end
        elif char in '"[':
            end, inner = _delimited(text, at + 1, '"' if char == '"' else "]")
            out.append(Token("q", inner) if char == '"' else Token("l", f"[{inner}]"))
            at = end
        else:
            out.append(Token(char, char))
            at += 1
    return out


def _comment_end(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return len(text)


def _delimited(text: str, at: int, closer: str) -> tuple[int, str]:
    """Where it ends, and what stands in it; to the end of the text where nothing closes it."""
    start = at
    while at < len(text) and text[at] != closer:
        at += 2 if text[at] == "\\" else 1
    inner = _ESCAPE.sub(r"\1", text[start:at])
    return min(at + 1, len(text)), re.sub(r"[\t\n\v\f\r]", " ", inner)
