"""Translation of POSIX regular expressions, extended and basic (regex(7)), into what PCRE2 and re share."""

from __future__ import annotations

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
MAX_REPEAT = 255


class _Translator:
    def __init__(self, pattern: str, extended: bool, multi: bool, end: str) -> None:
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
        self.out.append(text)
        self.atom, self.repeated = atom, False

    def literal(self, char: str) -> None:
        self.put(f"\\{char}" if char in _SPECIAL or char in "#&-~" or char.isspace() else char)

    def plain(self, char: str) -> None:
        if char == ".":
            self.put(".")
        elif char == "^" and (self.extended or not self.atom):
            self.put("^", atom=False)
        elif char == "$" and (self.extended or self.at_basic_end()):
            self.put("$" if self.multi else self.end, atom=False)
        elif char == "*":
            self.repeat("*")
        elif self.extended and char in "+?":
            self.repeat(char)
        elif self.extended and char in "()|":
            self.structure(char)
        elif self.extended and char == "{" and self.pattern[self.at : self.at + 1].isdigit():
            self.interval("}")
        else:
            self.literal(char)

    def at_basic_end(self) -> bool:
        rest = self.pattern[self.at :]
        return not rest or rest.startswith((r"\)", r"\|"))

    def structure(self, char: str) -> None:
        if char == "(":
            self.depth += 1
            self.put("(", atom=False)
        elif char == "|":
            self.put("|", atom=False)
        elif self.depth:
            self.depth -= 1
            self.put(")")
        elif self.extended:
            self.literal(")")
        else:
            raise ValueError(r'the pattern is wrong: "\)" without "\("')

    def repeat(self, text: str) -> None:
        if not self.atom:
            if self.extended and text != "*":
                raise ValueError(f'the pattern is wrong: nothing stands before "{text}"')
            self.literal(text)
            return
        if self.repeated:
            # POSIX repeats the repetition; in PCRE and Python a second sign would mean lazy or possessive.
            last = self.out[-1]
            if len(text) == 1 and last in "*+?":
                self.out[-1] = _COMBINED.get(last + text, "*")
            else:
                self.out.append("" if last == text else text if last not in "*+?" and len(text) > 1 else "")
            return
        self.out.append(text)
        self.repeated = True

    def interval(self, closer: str) -> None:
        end = self.pattern.find(closer, self.at)
        if end < 0:
            raise ValueError("the pattern is wrong: a { is not closed")
        body = self.pattern[self.at : end]
        low, comma, high = body.partition(",")
        if not low.isdigit() or (high and not high.isdigit()):
            raise ValueError(f"the pattern is wrong: {{{body}}} is no repetition")
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
            self.put(f"\\{char}(?:)")
        else:
            self.literal(char)

    def bracket(self) -> None:
        at = self.at + 1
        negated = self.pattern[at : at + 1] == "^"
        at += negated
        body: list[str] = []
        first = True
        while True:
            if at >= len(self.pattern):
                raise ValueError('the pattern is wrong: a "[" is not closed')
            char = self.pattern[at]
            if char == "]" and not first:
                break
            first = False
            if self.pattern[at : at + 2] in ("[:", "[=", "[."):
                text, at = self.special(at)
                body.append(text)
                continue
            body.append("-" if char == "-" and self.is_range(at, body) else _in_bracket(char))
            at += 1
        self.at = at + 1
        if negated and self.multi:
            body.append(r"\n")
        self.put(f"[{'^' if negated else ''}{''.join(body)}]")

    def is_range(self, at: int, body: list[str]) -> bool:
        return bool(body) and self.pattern[at + 1 : at + 2] not in ("]", "") and body[-1] != "-"

    def special(self, at: int) -> tuple[str, int]:
        kind = self.pattern[at + 1]
        end = self.pattern.find(f"{kind}]", at + 2)
        name = self.pattern[at + 2 : end] if end >= 0 else ""
        if kind == ":" and name in CLASSES:
            return CLASSES[name], end + 2
        if kind in "=." and len(name) == 1:
            return _in_bracket(name), end + 2
        raise ValueError(f'the pattern is wrong: "{self.pattern[at : at + 12]}" is no character class')


def _in_bracket(char: str) -> str:
    return f"\\{char}" if char in "\\]^-[&~|" else char


def translate(pattern: str, extended: bool, multi: bool, end: str) -> str:
    """Translate; `end` is what fits at the very end of the text (`\\z` for PCRE2, `\\Z` for Python).

    Raises ValueError with words for the administrator.
    """
    return _Translator(pattern, extended, multi, end).run()
