"""What the rows say is so: who says that it works is read somewhere, and nobody else is.

Reads are found in two ways: a text in the sources that is exactly the name (or an f-string that makes it), and a
Settings that notes what is asked of it while a whole house is built. Both lists of exceptions are literal.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import ClassVar

import tayori
from tayori.config import mastercf
from tayori.config.params import PARAMETERS, TEMPLATES, Status
from tayori.config.settings import Settings
from tayori.programs.daemons.compose import furnish, smtpd_services
from tayori.programs.daemons.dispatch.status_filter import StatusFilter
from tayori.schedule.feedback import Limits

SOURCES = Path(tayori.__file__).parent
TELLING = (
    "config/params/",
    "config/lint/",
    "config/manual.py",
    "programs/commands/check",
    "programs/explain/",
    "locale/",
)
"""What only tells of parameters."""

READ_OTHERWISE: dict[str, str] = {}
"""Works, though nothing asks for its value: why."""

NAMED_ONLY: dict[str, str] = {
    "bounce_template_file": "postconf -b says that templates of one's own are not used",
    "enable_long_queue_ids": "a line of mailq's help",
    "lmtp_quit_timeout": "read with the other time limits; no reply to QUIT is waited for",
    "max_idle": "an option of check_policy_service in braces",
    "smtp_quit_timeout": "read with the other time limits; no reply to QUIT is waited for",
    "smtpd_milters": "rehearse says that milters are not asked",
    "stress": "an attribute told to policy servers",
    "transport_retry_time": "a word of postconf's own",
}
"""Does not work, though a text in the sources is the name, or it is asked for: why."""

PREFIXES = ("smtp", "lmtp", "smtpd", "maildrop", "sender", "recipient")
"""What names are made with that comes from elsewhere."""

WORKS = (Status.IMPLEMENTED, Status.PARTLY)


def texts(path: Path) -> tuple[set[str], set[str]]:
    """(plain texts that are no docstrings, patterns of f-strings that could make a name) of one module."""
    tree = ast.parse(path.read_text("utf-8"))
    documents = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    pieces = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    plain, patterns = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documents and id(node) not in pieces:
                text = node.value.removeprefix("$")
                plain.update(text.split() if re.fullmatch(r"[\w ]+", text) else (text,))
        elif isinstance(node, ast.JoinedStr):
            made = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            literal = "".join(part for part in made if part)
            if re.fullmatch(r"\w{8,}", literal):
                patterns.add("".join(re.escape(part) if part else r"(\w+)" for part in made))
    return plain, patterns


@cache
def in_sources() -> tuple[frozenset[str], tuple[tuple[re.Pattern[str], frozenset[str]], ...]]:
    """All plain texts, and each f-string with the words that may stand in its holes: texts of the same module."""
    plain: set[str] = set()
    patterns: dict[str, set[str]] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        if not path.relative_to(SOURCES).as_posix().startswith(TELLING):
            some, more = texts(path)
            plain |= some
            for pattern in more:
                patterns.setdefault(pattern, set()).update(some, PREFIXES)
            if path.name == "smtp_options.py":  # name("mail_timeout") is smtp_mail_timeout or lmtp_mail_timeout
                plain |= {f"{prefix}_{tail}" for prefix in ("smtp", "lmtp") for tail in some}
    return frozenset(plain), tuple(
        (re.compile(pattern), frozenset(patterns[pattern])) for pattern in sorted(patterns)
    )


def made(name: str) -> bool:
    """Whether an f-string of the sources makes the name."""
    matches = ((pattern.fullmatch(name), words) for pattern, words in in_sources()[1])
    return any(match is not None and words.issuperset(match.groups()) for match, words in matches)


class Noting(Settings):
    """Remembers the names that it is asked for: `asked` by the program, `seen` also by $name in another value."""

    asked: ClassVar[set[str]] = set()
    seen: ClassVar[set[str]] = set()
    depth: ClassVar[int] = 0

    def with_overrides(self, overrides):  # type: ignore[no-untyped-def]
        return Noting(self.directory, self.assignments, self.system, (*self.overrides, *overrides))

    def raw(self, name: str) -> str | None:
        Noting.seen.add(name)
        if not Noting.depth:
            Noting.asked.add(name)
        return super().raw(name)

    def text(self, name: str) -> str:
        if not Noting.depth:
            Noting.asked.add(name)
        Noting.depth += 1
        try:
            return super().text(name)
        finally:
            Noting.depth -= 1


MASTER = """
smtp inet n - n - - smtpd
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
maildrop unix - n n - - pipe flags=DRhu user=nobody argv=/bin/true
"""


@cache
def in_a_house() -> tuple[frozenset[str], frozenset[str]]:
    values = {
        "myhostname": "mail.example.org", "alias_maps": "", "smtpd_tls_security_level": "none", "tayori_single_user": "yes",
        "smtp_sasl_auth_enable": "yes", "lmtp_sasl_auth_enable": "yes", "smtp_tls_security_level": "may",
        "lmtp_tls_security_level": "may", "smtpd_recipient_restrictions": "reject_unauth_destination, reject_unverified_sender",
    }  # fmt: skip
    base = Settings.of(values)
    settings = Noting(base.directory, base.assignments, base.system)
    house = furnish(settings, mastercf.parse(MASTER, "master.cf"), verify=True)
    smtpd_services(house)
    StatusFilter(settings, house.tables, lambda program, text: None)
    for transport in ("smtp", "relay", "lmtp", "maildrop"):
        Limits.of(settings, transport)
    settings.is_set("x")
    return frozenset(Noting.asked), frozenset(Noting.seen)


def is_read(name: str) -> bool:
    plain = in_sources()[0]
    suffix = next((suffix for suffix, row in TEMPLATES.items() if row.name == name), "")
    if suffix:
        own = f"maildrop{suffix}"
        return own in in_a_house()[1] or made(own)
    return name in plain or name in in_a_house()[1] or made(name)


def is_asked(name: str) -> bool:
    return name in in_sources()[0] or name in in_a_house()[0]


def test_what_works_is_read() -> None:
    works = [row.name for row in PARAMETERS.values() if row.status in WORKS]
    assert [name for name in works if not is_read(name) and name not in READ_OTHERWISE] == []


def test_what_does_not_work_is_not_read() -> None:
    idle = [row.name for row in PARAMETERS.values() if row.status not in WORKS and row.why]
    assert [name for name in idle if is_asked(name) and name not in NAMED_ONLY] == []


def test_an_old_name_that_is_understood_is_read() -> None:
    understood = [row.name for row in PARAMETERS.values() if row.status is Status.TRANSLATED and not row.why]
    assert [name for name in understood if not is_read(name)] == []


def test_exceptions_are_needed() -> None:
    assert [name for name in READ_OTHERWISE if is_read(name) or PARAMETERS[name].status not in WORKS] == []
    assert [name for name in NAMED_ONLY if not is_asked(name) or PARAMETERS[name].status in WORKS] == []


def test_the_finder_tells_what_is_read_from_what_is_not() -> None:
    for name in ("myhostname", "lmtp_mail_timeout", "unverified_sender_defer_code", "fallback_relay"):
        assert is_read(name), name
    for name in (
        "postscreen_greet_wait",
        "tls_null_cipherlist",
        "transport_recipient_limit",
    ):
        assert not is_read(name), name
