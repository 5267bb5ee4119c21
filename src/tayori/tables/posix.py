"""Translation of POSIX regular expressions, extended and basic (regex(7)), into what PCRE2 and re share."""

from __future__ import annotations

import re

# POSIX character classes, as the content of a bracket expression (the C locale, which is what Postfix runs in).
CLASSES = {
    "alnum": "A-Za-z0-9",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
GNU = {
    "<": r"\b(?=\w)",
    ">": r"\b(?<=\w)",
    "`": r"\A",
    "b": r"\b",
    "B": r"\B",
    "w": r"\w",
    "W": r"\W",
    "s": r"\s",
    "S": r"\S",
}
_SPECIAL = set(".^$*+?()[]{}|\\")
_COMBINED = {"**": "*", "++": "+", "??": "?"}
_SIGNS = frozenset("*+?")
MAX_REPEAT = 32767
"""RE_DUP_MAX of the GNU C library."""
_INTERVAL = re.compile(r"([0-9]*)(,?)([0-9]*)\Z")


class _Translator:
    def __init__(self, pattern: str, extended: bool, multi: bool, end: str, case: bool) -> None:
        self.pattern = pattern
        self.extended = extended
        self.multi = multi
        self.end = end
        self.out: list[str] = []
        self.depth = 0
        self.at = 0
        # Whether something stands to the left that a repetition can apply to, and whether it is one already.
        self.atom = False
        self.repeated = False
        # Where in `out` it begins; and where the groups begin that are open.
        self.start = 0
        self.open: list[tuple[int, int]] = []
        self.groups = 0
        # Groups that a back reference may speak of; for each open group, and outside of all, those before its first
        # alternative and those of the alternatives so far.
        self.complete: frozenset[int] = frozenset()
        self.before: list[tuple[frozenset[int], frozenset[int]]] = [(frozenset(), frozenset())]
        self.case = case

    def run(self) -> str:
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            if char == "\\":
                self.escape()
            elif char == "[":
                self.bracket()
            else:
                self.at += 1
                self.plain(char)
        if self.depth:
            raise ValueError('the pattern is wrong: a "(" is not closed')
        return "".join(self.out)

    def put(self, text: str, atom: bool = True) -> None:
        self.start = len(self.out)
        self.out.append(text)
        self.atom, self.repeated = atom, False

    def literal(self, char: str) -> None:
        self.put(f"\\{char}" if char in _SPECIAL or char in "#&-~" or char.isspace() else char)

    def plain(self, char: str) -> None:
        if char == ".":
            self.put(".")
        elif char == "^" and (self.extended or self.at_basic_start()):
            self.put("^", atom=False)
        elif char == "$" and (self.extended or self.at_basic_end()):
            self.put("$" if self.multi else self.end, atom=False)
        elif char == "*":
            self.repeat("*")
        elif self.extended and char in "+?":
            self.repeat(char)
        elif self.extended and char in "()|":
            self.structure(char)
        elif self.extended and char == "{":
            self.interval("}")
        else:
            self.literal(char)

    def at_basic_end(self) -> bool:
        rest = self.pattern[self.at :]
        return not rest or rest.startswith((r"\)", r"\|"))

    def at_basic_start(self) -> bool:
        return self.at == 1 or self.pattern[: self.at - 1].endswith((r"\(", r"\|"))

    def structure(self, char: str) -> None:
        if char == "(":
            self.depth += 1
            self.groups += 1
            self.open.append((self.groups, len(self.out)))
            self.before.append((self.complete, frozenset()))
            self.put("(", atom=False)
        elif char == "|":
            first, others = self.before[-1]
            self.before[-1] = first, others | self.complete
            self.complete = first
            self.put("|", atom=False)
        elif self.depth:
            self.depth -= 1
            self.put(")")
            group, self.start = self.open.pop()
            self.complete |= self.before.pop()[1] | {group}
        elif self.extended:
            self.literal(")")
        else:
            raise ValueError(r'the pattern is wrong: "\)" without "\("')

    def repeat(self, text: str) -> None:
        if not self.atom:
            if self.extended or text not in _SIGNS:
                raise ValueError(f'the pattern is wrong: nothing stands before "{text}"')
            self.literal(text)
            return
        if self.repeated and not self.extended and text not in ("+", "?"):
            raise ValueError(f'the pattern is wrong: "{text}" stands behind a repetition')
        if self.repeated and text in _SIGNS and self.out[-1] in _SIGNS:
            self.out[-1] = _COMBINED.get(self.out[-1] + text, "*")
            return
        if self.repeated:
            # POSIX repeats the repetition; in PCRE and Python a second sign would mean lazy or possessive.
            self.out[self.start :] = [f"(?:{''.join(self.out[self.start :])})"]
        self.out.append(text)
        self.repeated = True

    def interval(self, closer: str) -> None:
        end = self.pattern.find(closer, self.at)
        if end < 0:
            raise ValueError("the pattern is wrong: a { is not closed")
        body = self.pattern[self.at : end]
        counts = _INTERVAL.match(body)
        if counts is None or body == "":
            raise ValueError(f"the pattern is wrong: {{{body}}} is no repetition")
        low, comma, high = counts.groups()
        low = low or "0"
        if int(low) > MAX_REPEAT or (high and (int(high) > MAX_REPEAT or int(high) < int(low))):
            raise ValueError(f"the pattern is wrong: {{{body}}} must count from low to high, at most {MAX_REPEAT}")
        self.at = end + len(closer)
        self.repeat(f"{{{low}{comma}{high}}}")

    def escape(self) -> None:
        if self.at + 1 >= len(self.pattern):
            raise ValueError('the pattern is wrong: it ends with "\\"')
        char = self.pattern[self.at + 1]
        self.at += 2
        if not self.extended and char in "(){}+?|":
            if char in "()|":
                self.structure(char)
            elif char in "+?":
                self.repeat(char)
            elif char == "{":
                self.interval("\\}")
            else:
                self.literal(char)
        elif char in GNU:
            self.put(GNU[char], atom=char in "wWsS")
        elif char == "'":
            self.put(self.end, atom=False)
        elif char.isdigit() and char != "0":
            if int(char) not in self.complete:
                raise ValueError(f'the pattern is wrong: "\\{char}" but no such group in ( ) before it')
            self.put(f"(?:\\{char})")
        elif self.case and "a" <= char <= "z":
            # The C library turns the text into capitals, but not this letter: nobody who writes \d means a plain d.
            self.put(r"[^\s\S]")
        else:
            self.literal(char)

    def bracket(self) -> None:
        at = self.at + 1
        negated = self.pattern[at : at + 1] == "^"
        at += negated
        body: list[str] = []
        first = at
        while at == first or self.pattern[at : at + 1] != "]":
            if self.pattern[at : at + 1] == "-" and at > first and self.pattern[at + 1 : at + 2] != "]":
                raise ValueError('the pattern is wrong: a "-" in [ ] must stand first, last or in a range')
            char, text, at = self.element(at)
            if self.pattern[at : at + 1] == "-" and self.pattern[at + 1 : at + 2] not in ("]", ""):
                last, end, at = self.element(at + 1)
                if self.case and char and last:
                    # The C library compares in upper case, and what it compares makes the range.
                    char, last = _upper(char), _upper(last)
                    text, end = _in_bracket(char), _in_bracket(last)
                if not char or not last or last < char:
                    raise ValueError(f'the pattern is wrong: a range in [ ] ends before it begins, at "{text}-{end}"')
                text += f"-{end}"
            body.append(text)
        self.at = at + 1
        if negated and self.multi:
            body.append(r"\n")
        self.put(f"[{'^' if negated else ''}{''.join(body)}]")

    def element(self, at: int) -> tuple[str, str, int]:
        """One character of a bracket expression (empty for a class), its translation, and where the next begins."""
        if at >= len(self.pattern):
            raise ValueError('the pattern is wrong: a "[" is not closed')
        if self.pattern[at : at + 2] in ("[:", "[=", "[."):
            return self.special(at)
        return self.pattern[at], _in_bracket(self.pattern[at]), at + 1

    def special(self, at: int) -> tuple[str, str, int]:
        kind = self.pattern[at + 1]
        end = self.pattern.find(f"{kind}]", at + 2)
        name = self.pattern[at + 2 : end] if end >= 0 else ""
        if kind == ":" and name in CLASSES:
            return "", CLASSES[name], end + 2
        if kind in "=." and len(name) == 1:
            return ("" if kind == "=" else name), _in_bracket(name), end + 2
        raise ValueError(f'the pattern is wrong: "{self.pattern[at : at + 12]}" is no character class')


def _upper(char: str) -> str:
    return char.upper() if char.isascii() else char


def _in_bracket(char: str) -> str:
    return f"\\{char}" if char in "\\]^-[&~|:=." else char


def translate(pattern: str, extended: bool, multi: bool, end: str, case: bool = False) -> str:
    """Translate; `case`: it will be asked without regard to case; `end` is what fits at the very end of the text
    (`\\z` for PCRE2, `\\Z` for Python).

    Raises ValueError with words for the administrator.
    """
    return _Translator(pattern, extended, multi, end, case).run()
