"""Odd table files and what to ask of them, from dice: for tests/parity/differential_tables.py."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Command = tuple[list[str], bytes]


@dataclass(frozen=True)
class Case:
    """A source file and the commands to run with it; `@/` in a word is the folder it lies in."""

    source: bytes
    commands: tuple[Command, ...]
    main_cf: str = ""
    placed: bool = False
    """Whether `@/` in the source is that folder, too."""


def _lines(dice: random.Random, make: Callable[[random.Random], str], low: int, high: int) -> str:
    out = []
    for _ in range(dice.randint(low, high)):
        out.append(make(dice))
        if dice.random() < 0.06:
            out.append(dice.choice(["", "# note", "  ", "  # note", "\t#"]))
        if dice.random() < 0.06:
            out.append(dice.choice([" ", "\t"]) + dice.choice(["more", "a, b", '"', "x: y", ")"]))
    return "\n".join(out) + dice.choice(["\n", "", "\n\n"])


WORDS = ["a", "b", "Root", "list", "x.y", "owner-list", "a+b", "é", "É", "/file", "|cmd", "|/bin/cat -x", "bob"]
ODD = ['"q"', '"a b"', '"a  b"', '"a\\"b"', '"a\\\\b"', '"', "(c)", "(a  b)", "(", ")", "[1.2.3.4]", "[", "]", "<", ">", ",",
       ";", ":", "@", ".", "%", "!", "\\a", "\\,", "\\\\", "#", "'", "=", "{x}", '""', '"x:y"', '":include:/l"', ":include:/l",
       '"|cmd  x"', "a@b.example", "<a@b>", "\\ ", "-f", "\x01", "\\é", "\\!", "\\%"]  # fmt: skip


def _words(dice: random.Random, most: int, odd: float) -> str:
    out = []
    for _ in range(dice.randint(1, most)):
        out.append(dice.choice(ODD) if dice.random() < odd else dice.choice(WORDS))
        out.append(dice.choice(["", "", " ", "  ", "\t", ", "]) if dice.random() < 0.7 else ", ")
    return "".join(out[:-1])


def _alias(dice: random.Random) -> str:
    name = _words(dice, dice.choice([1, 1, 2, 3]), 0.35).replace(", ", " " if dice.random() < 0.9 else ", ")
    colon = dice.choice([":", ": ", " : ", ":\t", " :", ":", ":", " ", "::"])
    return name + colon + _words(dice, 4, 0.4)


def alias(dice: random.Random) -> Case:
    """aliases(5)."""
    source = _lines(dice, _alias, 3, 12)
    keys = ["a", "A", "b", "root", "list", "x.y", "a b", "q", "é", "É", 'a"b', "a\\b", "x:y", "bob", "/file", "none"]
    dice.shuffle(keys)
    asked = "".join(f"{key}\n" for key in keys).encode()
    return Case(
        source.encode(),
        (
            (["postalias", "hash:@/source"], b""),
            (["postalias", "-s", "hash:@/source"], b""),
            (["postalias", "-q", "-", "hash:@/source"], asked),
            (["postmap", "-q", "-", "hash:@/source"], asked),
            (["postmap", "-s", "hash:@/source"], b""),
        ),
        "alias_maps = hash:@/source\n",
    )


NETS = ["10.0.0.0/8", "10.1.0.0/16", "192.168.1.1", "192.168.0.0/16", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1", "fe80::/10",
        "[2001:db8::]/32", "[2001:db8::/32]", "[10.0.0.0]/8", "[::1]", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0/24",
        "010.0.0.0/8", "10.0.0.0/08", "10.0.0.0/", "/8", "x", "fe80::1%lo", "fe80::%lo/10", "::ffff:10.0.0.0/104",
        "::ffff:10.1.1.1", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/ 8", "[10.0.0.0", "10.0.0.0]", "[]", "1.2.3.256",
        "2001:DB8::/32", "::1/128", "10.1.1.1/32", "2001:db8::1/32", "ipv6:::1", "[ipv6:::1]", "0/0", "10.0.0.0/+8"]  # fmt: skip
RESULTS = ["one", "two  words", "OK", "REJECT no", "three # x", "$1", "é"]


def _if(dice: random.Random, pattern: str) -> str:
    word = dice.choice(["if", "if", "if", "IF", "iF"])
    return f"{word}{dice.choice([' ', '  ', chr(9), ' ', ''])}{dice.choice(['', '', '!', '! ', '!!'])}{pattern}"


def _blocks(dice: random.Random, rule: Callable[[], str], pattern: Callable[[], str], good: str) -> str:
    """Rules with if/endif that balance (see ON_PURPOSE of the differential for those that do not)."""
    out: list[str] = []
    depth = 0
    for _ in range(dice.randint(3, 12)):
        what = dice.random()
        if what < 0.12 and depth < 3:
            out.append(_if(dice, pattern()) if dice.random() < 0 else f"{dice.choice(['if ', 'IF  ', 'if !'])}{good}")
            depth += 1
        elif what < 0.24 and depth:
            out.append(dice.choice(["endif", "endif", "ENDIF", "endif  "]))
            depth -= 1
        else:
            out.append(rule())
    out += ["endif"] * depth
    if dice.random() < 0.1:
        out.append("endif")
    return "\n".join(out) + "\n"


def cidr(dice: random.Random) -> Case:
    """cidr_table(5)."""

    def rule() -> str:
        mark = dice.choice(["", "", "", "", "!", "! ", "!!", "!!!", "! !"])
        return mark + dice.choice(NETS) + dice.choice([" ", "\t", "  ", ""]) + dice.choice([*RESULTS, ""])

    good = dice.choice(NETS[:11])
    source = _blocks(dice, rule, lambda: dice.choice(NETS), good)
    keys = ["10.1.1.1", "10.2.2.2", "192.168.1.1", "192.168.2.1", "1.2.3.4", "::1", "2001:db8::1", "2001:DB8:0::1", "fe80::1",
            "fe80::1%lo", "::ffff:10.1.1.1", "[::1]", "ipv6:::1", "[10.1.1.1]", "10.1.1.1/32", "10.0.0.0/8", "x", "1.2.3",
            "010.1.1.1", "2001:db9::1", "::", "0.0.0.0", "IPv6:2001:db8::1", "[IPv6:::1]", " 10.1.1.1", "10.1.1.1 "]  # fmt: skip
    return Case(source.encode(), ((["postmap", "-q", "-", "cidr:@/source"], "\n".join(keys).encode()),))


ATOMS = ["a", "b", "ab", ".", "x", "foo", "[a-c]", "[^a]", "[[:alpha:]]", "(a)", "(a|b)", "(ab)", "()", "\\.", "\\/", "1", "@", " ", "é",
         "[]a]", "[a-]", "\\(", "\\)", "$", "^", "\\$"]  # fmt: skip
REPEATS = [
    "",
    "",
    "",
    "",
    "*",
    "+",
    "?",
    "{2}",
    "{1,2}",
    "{,2}",
    "{1,}",
    "**",
    "+?",
    "{0}",
    "{2",
    "{",
    "{x}",
    "{2,1}",
    "{,}",
]
POSIX_ODD = ["|", "(", ")", "[", "]", "}", "\\{", "\\}", "[[:foo:]]", "[b-a]", "a||b", "(|a)", "(a|)", "*a", "+a", "?a", "{1}a", "^*",
             "(*a)", "(+a)", "\\<a", "a\\>", "\\w", "\\W", "\\s", "\\b", "\\B", "\\`", "\\'", "\\1", "(a)\\1", "[[.a.]]", "[[=a=]]",
             "[[.space.]]", "\\n", "\\t", "\\d", "a{1,2}{2}", "[\\]", "[\\n]", "[a-c-e]", "[a\\]b]", "()*", "^a|b$", "a^b", "a$b",
             "[[:alpha:]-z]", "[:alpha:]", "[--a]", "[a", "\\x", "(a)*", "((a)|b)+", "[[]", "[a-z", "{", "{}", "a{256}"]  # fmt: skip
PCRE_ODD = ["|", "(", ")", "[", "]", "(?i)a", "(?:a)", "(?=a)", "(?!a)", "(?<n>a)", "\\d", "\\w+", "\\s", "\\b", "\\1", "(a)\\1", "a*?", "a*+",
            "a++", "(?>a)", "\\Qa.b\\E", "\\x41", "\\A", "\\z", "\\Z", "\\R", "(?#c)", "(?x) a", "*a", "+a", "{1}", "[[:foo:]]", "[b-a]",
            "\\p{L}", "\\N", "\\K", "a\\Kb", "(?|a|(b))", "[^\\n]", "\\h", "(?s).", "(?-i)a", "(*FAIL)", "(*UTF)", "\\", "\\c", "\\g1",
            "(?1)", "\\u", "\\L", "[\\d]", "(a)|b", "\\e", "\\X"]  # fmt: skip
SUBSTITUTES = ["one", "$1", "${1}", "$(1)", "$2", "$$", "$$1", "<$1>", "a$", "$", "${1", "$(1", "$x", "${x}", "$0", "$10", "$1$2", "x  y",
               "$()", "${}", "$01", "${1}2", "$ 1", "$-", "${ 1}", "$(1}", "two words", "é$1", "$$$1", "$1x"]  # fmt: skip
TEXTS = ["a", "b", "ab", "abc", "aab", "aa", "aaaa", "foo", "Foo@Bar.example", "x", "", "a b", "1", "a1b2", "é", "É", "a.b", "a/b", "(a)", "a$b", "^a",
         "a{2}", "a{", "*a", "+a", "{1}a", "[a]", "a|b", "b-a", "w", "d", "a\\b", "\\", "abab", "aabb", "a@b", "A", "AB", "]", "-", "}", "{x}",
         "a{,2}", "n", "t", "_", " ", "x-y", "aa{2", ":a:", "a\x01b"]  # fmt: skip


def _pattern(dice: random.Random, odd: Sequence[str], delimiter: str = "/") -> str:
    parts = []
    for _ in range(dice.randint(1, 4)):
        if dice.random() < 0.3:
            parts.append(dice.choice(odd))
        else:
            parts.append(dice.choice(ATOMS) + dice.choice(REPEATS))
    text = "".join(parts)
    if dice.random() < 0.2:
        text = "^" + text
    if dice.random() < 0.2:
        text += "$"
    if dice.random() < 0.05:
        text = "|".join([text, *parts])
    return text


def _patterns(dice: random.Random, kind: str, odd: Sequence[str], flags: str) -> Case:
    def pattern() -> str:
        delimiter = dice.choice("//////////|=#,;%")
        chosen = "".join(dice.sample(flags, dice.choice([0, 0, 0, 0, 1, 1, 2])))
        if dice.random() < 0.03:
            chosen += dice.choice(["z", "q", "/", "ii", "i i", "-", "é"])
        end = delimiter if dice.random() < 0.97 else ""
        return f"{delimiter}{_pattern(dice, odd)}{end}{chosen}"

    def rule() -> str:
        mark = dice.choice(["", "", "", "", "", "", "!", "! ", "!!"])
        gap = dice.choice([" ", " ", " ", "\t", "  "])
        found, result = pattern(), dice.choice(SUBSTITUTES)
        if kind == "regexp" and "|" in found:
            # Which alternative $1 is of: the longest with the C library, the first with tayori.
            result = "one"
        return mark + found + gap + result

    good = dice.choice(["/a/", "/^a/", "/A/", "/[a-z]/", "/./", "/b$/i", "/a/  "])
    source = _blocks(dice, rule, pattern, good)
    # Postfix compares bytes, tayori characters.
    source = source.replace("é", "e")
    if kind == "pcre":
        # A repetition since PCRE2 10.43, which Debian 12 has not.
        source = source.replace("{,", "{1,")
    texts = "\n".join(dice.sample(TEXTS, len(TEXTS)))
    texts = texts.replace("é", "e").replace("É", "E")
    return Case(source.encode(), ((["postmap", "-q", "-", f"{kind}:@/source"], texts.encode()),))


def regexp(dice: random.Random) -> Case:
    """regexp_table(5)."""
    return _patterns(dice, "regexp", POSIX_ODD, "imx")


def pcre(dice: random.Random) -> Case:
    """pcre_table(5)."""
    return _patterns(dice, "pcre", PCRE_ODD, "imsxAEU")


MAP_LINES = ["a 1", "b one  two", "A 2", "bad", "c\n  3", '"a b" q', '"a b"@x y', "a\\ b z", "x: y", "é 1", '"open 1', "# c", " x 1", "d\t4",
             "e 5\n#c\n  more", "f ", "B 3", "1.2.3.4 OK", "@x all", "d 5", "e  6 "]  # fmt: skip
ALIAS_LINES = ["a: 1", "b : one,  two", "A: 2", "bad", "c:\n  3", '"a b": q', "x y: z", "b@c: z", "é: 1", '"open: 1', "# c", "d:", "B: 3",
               ": x", "e: 5\n#c\n  more", "d: 4", "d: 5"]  # fmt: skip
ASKED = [
    "a",
    "A",
    "b",
    "B",
    "c",
    "none",
    '"a b"',
    "a b",
    "a\\ b",
    "é",
    "É",
    "",
    "x",
    "d",
    " a",
    "a ",
    "1.2.3.4",
    "@x",
    "x:",
    "e",
    "YP",
]
OPTIONS = ["-o", "-N", "-p", "-u", "-U", "-w", "-v"]


def options(dice: random.Random) -> Case:
    """postmap(1), postalias(1): one command line on a table that was built, then what the table holds."""
    aliases = dice.random() < 0.4
    program, pool = ("postalias", ALIAS_LINES) if aliases else ("postmap", MAP_LINES)
    spec = dice.choice(["hash:@/source", "hash:@/source", "btree:@/source", "@/source"])
    source = "\n".join(dice.sample(pool, dice.randint(3, 10))) + dice.choice(["\n", ""])
    fresh = "\n".join(dice.sample(pool, dice.randint(0, 5))) + dice.choice(["\n", ""])
    keys = "\n".join(dice.sample(ASKED, dice.randint(0, 8))) + dice.choice(["\n", "", "\n\n"])
    what = dice.choice(["-q", "-q", "-d", "-q -", "-q -", "-d -", "-s", "-i", "-i", "-ir", "-iw", "", "-sq", "-qd"])
    extra = [option for option in OPTIONS if dice.random() < 0.12]
    if dice.random() < 0.06:
        extra.append(dice.choice(["-h", "-b", "-m", "-hb", "-r", "-i", "-q", "-Z", "-c", "-w", "-N", "-s"]))
    key = dice.choice(ASKED)
    if "-u" in extra:
        # The text has no other form; a database holds keys as they were folded when it was built.
        keys, key = keys.replace("É", "é"), key.replace("É", "é")
    asked = b""
    words: list[str] = []
    match what:
        case "-q" | "-d":
            words = [what, key]
        case "-q -" | "-d -":
            words, asked = what.split(), keys.encode()
        case "-sq":
            words = ["-s", "-q", key]
        case "-qd":
            words = ["-q", key, "-d", key] if dice.random() < 0.5 else ["-q", key, "-q", dice.choice(ASKED)]
        case "-i" | "-ir" | "-iw":
            words, asked = [what], fresh.encode()
        case "-s":
            words = ["-s"]
        case _:
            pass
    line = [*extra, *words] if dice.random() < 0.7 else [*words, *extra]
    specs = (
        [spec] if dice.random() < 0.9 else dice.choice([[spec, spec], [], [spec, "static:x"], ["inline:{a=9}", spec]])
    )
    built = ["hash:@/source"] if spec.startswith(("hash", "@")) else ["btree:@/source"]
    return Case(
        source.encode(),
        (
            ([program, "-w", *built], b""),
            ([program, *line, *specs], asked),
            ([program, "-s", *built], b""),
        ),
        f"alias_maps = {built[0]}\n" if aliases else "",
    )


KINDS: dict[str, Callable[[random.Random], Case]] = {
    "alias": alias,
    "cidr": cidr,
    "regexp": regexp,
    "pcre": pcre,
    "options": options,
}
