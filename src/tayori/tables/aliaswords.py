"""The words of a line of an alias file, as postalias(1) reads and keeps them (learnt from some 400 lines).

A line is words (RFC 5322 3.2: atoms, quoted strings, comments, literals) and special characters. What stands before
the first colon is the name, without quotes; what follows is kept with one blank between words, one after each comma,
one before `<`, and quotes only where a quoted string or an escaped special character needs them. So `a  b : c,d`
is the name `a b` with the value `c, d`, and `"a:b"c: d` the name `a:b c`.
"""

from __future__ import annotations

import re

from tayori.protocol.address import quoted_string
from tayori.protocol.address_list import Token, tokens

_ASIDE = r'\s\x00-\x1f()<>,;:\[\]"\\!%|\x7f'
_QUOTED = r'[^"\\\x00-\x1f\x7f]'
_ITEM = rf'(?:"{_QUOTED}*"|:?[^{_ASIDE}]+(?::[^{_ASIDE}]+)?)'
_PLAIN = re.compile(rf'(?:"({_QUOTED}+)"|([^{_ASIDE}@]+))[ \t]*:[ \t]*({_ITEM}(?:, {_ITEM})*)[ \t]*\Z')
"""Most lines: nothing in them is written otherwise."""
_ATOM = re.compile(r'(?:[^ \t\r\n\v\f()<>@,;:.!%|\[\]"\\]|\\.?)+', re.DOTALL)
_WORDS = frozenset("wqlc")
_OPERATORS = frozenset("!%|")
_NEVER_IN_NAMES = frozenset("@%")


def split(text: str) -> tuple[str, str] | None:
    """Name and value; None where there is no colon, or no name or value around it. Raises ValueError for a name that
    is none: with an `@` outside of quotes."""
    plain = _PLAIN.match(text)
    if plain is not None:
        return plain.group(1) or plain.group(2), plain.group(3)
    found = tokens(text, atoms=_ATOM)
    colon = next((at for at, token in enumerate(found) if token.kind == ":"), -1)
    if colon < 1 or colon + 1 == len(found) or any(token.kind == "," for token in found[:colon]):
        return None
    if any(token.kind in _NEVER_IN_NAMES for token in found[:colon]):
        raise ValueError("@")
    return joined(found[:colon], quotes=False), joined(found[colon + 1 :], quotes=True)


def joined(found: list[Token], quotes: bool) -> str:
    """The words as postalias keeps them."""
    out: list[str] = []
    before = ""
    for token in found:
        apart = before and before != "," if token.kind == "<" else token.kind in _WORDS and before in _WORDS
        if apart:
            out.append(" ")
        if quotes and (token.kind == "q" or (token.kind == "w" and not _OPERATORS.isdisjoint(token.text))):
            out.append(quoted_string(token.text))
        elif quotes and token.kind == "l":
            out.append(token.text.replace("\\", "\\\\"))
        else:
            out.append(", " if token.kind == "," else token.text)
        before = token.kind
    return "".join(out)
