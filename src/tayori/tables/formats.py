"""The two source formats of indexed tables: postmap(1) `key value` and aliases(5) `name: value`.

A parser takes the raw lines of a file and yields an Entry or a Problem for each logical line; it never raises.
Keys are not folded (names of aliases come out unquoted); values are kept as written, surrounding white space
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tayori.tables.lines import BLANKS, Entry, Problem, key_end, logical_lines, quoted

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
    """aliases(5): `name: value, …`; the name may be quoted. The value (addresses, `|command`, `/file`,
    `:include:/file`) is kept raw: rewrite and delivery parse it.
    """
    for number, text in logical_lines(raw):
        if text[0] in BLANKS:
            yield Problem(number, "the first alias must not begin with white space")
            continue
        if text[0] == 34:
            parts = quoted(text)
            name, rest = parts if parts is not None else (b"", b"")
            rest = rest.lstrip(BLANKS)
            colon = rest[:1] == b":"
            value = rest[1:]
        else:
            name, separator, value = text.partition(b":")
            colon = bool(separator)
            name = name.strip(BLANKS)
        value = value.strip(BLANKS)
        if not colon or not name:
            yield Problem(number, "expected a name, a colon and a value")
        elif b"@" in name and text[0] != 34:
            yield Problem(number, "the name of an alias is a local name, without @domain (virtual(5) has domains)")
        elif not value:
            yield Problem(number, "the alias has no value after the colon")
        else:
            try:
                yield Entry(name.decode(), value.decode(), number)
            except UnicodeDecodeError:
                yield Problem(number, NOT_UTF8)


Parser = Callable[[Iterable[bytes]], Iterator[Entry | Problem]]

FORMATS: dict[str, Parser] = {
    "map": parse_map,
    "aliases": parse_aliases,
}
