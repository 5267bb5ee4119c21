"""The two source formats of indexed tables: postmap(1) `key value` and aliases(5) `name: value`.

A parser takes the raw lines of a file and yields an Entry or a Problem for each logical line; it never raises.
Keys are not folded (names of aliases come out unquoted); values are kept as written, surrounding white space
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tayori.tables.aliaswords import split
from tayori.tables.lines import BLANKS, Entry, Problem, key_end, logical_lines

NOT_UTF8 = "is not valid UTF-8: save the file as UTF-8"


def parse_map(raw: Iterable[bytes]) -> Iterator[Entry | Problem]:
    """postmap(1) INPUT FILE FORMAT. A key may hold blanks inside double quotes (Postfix 3.2); the quotes are part
    of the key, as in a quoted local part `"a b"@example.com`.
    """
    for number, text in logical_lines(raw):
        if text[0] in BLANKS:
            yield Problem(number, "the first entry must not begin with white space")
            continue
        if b'"' in text or b"\\" in text:
            end = key_end(text)
            if end < 0:
                yield Problem(number, "the key has an opening quote but no closing one")
                continue
            key, value = text[:end], text[end:].strip(BLANKS)
        else:
            words = text.split(None, 1)
            key = words[0]
            value = words[1].rstrip(BLANKS) if len(words) == 2 else b""
        if not value:
            yield Problem(number, "expected a key, white space and a value; the value is missing")
            continue
        try:
            yield Entry(key.decode(), value.decode(), number)
        except UnicodeDecodeError:
            yield Problem(number, NOT_UTF8)


def parse_aliases(raw: Iterable[bytes]) -> Iterator[Entry | Problem]:
    """aliases(5): `name: value, …`, in the words that postalias(1) makes of it (aliaswords.py). The value (addresses,
    `|command`, `/file`, `:include:/file`) is not looked at: rewrite and delivery parse it.
    """
    for number, text in logical_lines(raw):
        if text[0] in BLANKS:
            yield Problem(number, "the first alias must not begin with white space")
            continue
        try:
            found = split(text.decode())
        except UnicodeDecodeError:
            yield Problem(number, NOT_UTF8)
            continue
        except ValueError:
            yield Problem(number, "the name of an alias is a local name, without @domain (virtual(5) has domains)")
            continue
        if found is None:
            yield Problem(number, "expected a name, a colon and a value")
        elif not found[0]:
            yield Problem(number, "the name of the alias is empty")
        elif not found[1]:
            yield Problem(number, "the alias has no value after the colon")
        else:
            yield Entry(*found, number)


Parser = Callable[[Iterable[bytes]], Iterator[Entry | Problem]]

FORMATS: dict[str, Parser] = {
    "map": parse_map,
    "aliases": parse_aliases,
}
