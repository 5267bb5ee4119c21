"""Turning restriction lists of main.cf into tuples of rules, once, at construction.

Every mistake is found here and carries its line: an unknown name (with the nearest known one), a missing
argument, a bad table. Old spellings are translated and leave a warning.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tayori.config.origin import ConfigError, Origin
from tayori.config.settings import Settings, split_items
from tayori.policy.answers import Answer
from tayori.policy.rule import Resource, Restriction, Rule, RuleList
from tayori.tables.matchlist import Kind, Match, MatchList

if TYPE_CHECKING:
    from tayori.policy.evaluate import Evaluation
    from tayori.policy.services import Services

WARN = "warn_if_reject"
LOGGED = "smtpd_log_access_permit_actions"
MAX_DEPTH = 100
IMPLIED_ACCESS = {
    Resource.CLIENT: "check_client_access",
    Resource.HELO: "check_helo_access",
    Resource.SENDER: "check_sender_access",
    Resource.RECIPIENT: "check_recipient_access",
    Resource.ETRN: "check_etrn_access",
    Resource.DATA: "check_recipient_access",
    Resource.END_OF_DATA: "check_recipient_access",
}


async def restriction_class(run: Evaluation, rule: Rule) -> Answer:
    """postconf(5) smtpd_restriction_classes: a name for a list."""
    return await run.nested(rule.prepared)


class Compiler:
    """Compiles lists for one service. `warnings` gathers what is allowed but should be mended."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        restrictions: Mapping[str, Restriction],
        old: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.settings = settings
        self.services = services
        self.warnings: list[ConfigError] = []
        self._restrictions = restrictions
        self._old = old
        self._classes = frozenset(settings.items("smtpd_restriction_classes"))
        self._logged = MatchList.from_settings(services.tables, settings, LOGGED, Kind.STRING)  # type: ignore[arg-type]
        self._depth = 0
        self._results: dict[tuple[str, Resource, str], tuple[Rule, ...]] = {}

    def parameter(self, name: str, resource: Resource) -> RuleList:
        """The list that parameter `name` holds. Raises ConfigError."""
        words = self.settings.items(name)
        places = origins(self.settings, name, words)
        return RuleList(name, resource, self.rules(zip(words, places, strict=True), name, resource))

    def result(self, text: str, parameter: str, resource: Resource, origin: Origin | None) -> tuple[Rule, ...]:
        """Rules out of an access(5) right-hand side; kept, since the same text comes again. Raises ConfigError."""
        key = (text, resource, parameter)
        found = self._results.get(key)
        if found is None:
            if len(self._results) > 1000:
                self._results.clear()
            words = split_items(text)
            found = self.rules(((word, origin) for word in words), parameter, resource)
            self._results[key] = found
        return found

    def rules(
        self, words: Iterable[tuple[str, Origin | None]], parameter: str, resource: Resource
    ) -> tuple[Rule, ...]:
        """Compile words, each with its place. Raises ConfigError."""
        queue = list(words)
        found: list[Rule] = []
        warn = False
        at = 0
        while at < len(queue):
            word, origin = queue[at]
            at += 1
            name = word.lower()
            if name == WARN:
                warn = True
                continue
            if name in self._old:
                new = self._translated(self._old[name])
                mend = f"write {' '.join(new)}" if new else "remove it: it has no effect any more"
                self.warnings.append(ConfigError(f'"{word}" is an old spelling', origin, mend))
                queue[at:at] = [(each, origin) for each in new]
                continue
            rule, used = self._rule(word, [w for w, _ in queue[at : at + 1]], origin, parameter, resource)
            at += used
            found.append(replace(rule, warn=True) if warn else rule)
            warn = False
        return tuple(found)

    def _translated(self, words: tuple[str, ...]) -> tuple[str, ...]:
        if len(words) == 2 and words[1].startswith("$"):
            return tuple(each for item in self.settings.items(words[1][1:]) for each in (words[0], item))
        return words

    def _rule(
        self, word: str, rest: list[str], origin: Origin | None, parameter: str, resource: Resource
    ) -> tuple[Rule, int]:
        name = word.lower()
        used = 0
        entry = self._restrictions.get(name)
        if entry is None:
            if word in self._classes:
                return Rule(word, restriction_class, "", self._class(word, resource, origin), origin, parameter), 0
            if ":" not in word:
                raise self._unknown(word, origin, parameter)
            name, argument = IMPLIED_ACCESS[resource], word
            entry = self._restrictions[name]
        elif entry.argument:
            if not rest:
                raise ConfigError(
                    f"{parameter}: {name} needs an argument after it", origin, f"write what {name} shall look up"
                )
            argument, used = rest[0], 1
        else:
            argument = ""
        prepared = entry.prepare(self, argument, origin) if entry.prepare else None
        return Rule(name, entry.function, argument, prepared, origin, parameter, logged=self._logs(name)), used

    def _logs(self, name: str) -> bool:
        """Whether a rule's own permission is logged; a table's is called OK, not by the rule that asked it."""
        return not name.startswith("check_") and self.is_logged(name)

    def is_logged(self, name: str) -> bool:
        """smtpd_log_access_permit_actions, asked at once: names of rules never change. Raises ConfigError."""
        if not self._logged:
            return False
        asking = self._logged.match(name)
        try:
            asking.send(None)
        except StopIteration as answer:
            return isinstance(answer.value, Match)
        asking.close()
        place = self.settings.origin(LOGGED)
        raise ConfigError(
            f"{LOGGED}: a table on another machine", place, "use names, a file or a table of this machine"
        )

    def _class(self, name: str, resource: Resource, origin: Origin | None) -> tuple[Rule, ...]:
        if self._depth >= MAX_DEPTH:
            raise ConfigError(f"restriction class {name} goes round in a circle", origin, "break the circle")
        self._depth += 1
        try:
            return self.parameter(name, resource).rules
        finally:
            self._depth -= 1

    def _unknown(self, word: str, origin: Origin | None, parameter: str) -> ConfigError:
        known = [*self._restrictions, *self._classes, WARN]
        near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.75)
        if near:
            mend = f'did you mean "{near[0]}"?'
        elif self.settings.row(word) is not None:
            mend = f'"{word}" is a parameter: give it a line of its own'
        else:
            mend = "remove it, or name it in smtpd_restriction_classes"
        return ConfigError(f'{parameter}: there is no restriction "{word}"', origin, mend)


def origins(settings: Settings, name: str, words: Iterable[str]) -> list[Origin | None]:
    """The line of each word of a list. A word that came from a `$name` takes the line of the assignment."""
    assignment = settings.assignment(name)
    if assignment is None:
        return [None for _ in words]
    pieces: list[tuple[str, int]] = []
    for number, piece in enumerate(assignment.pieces):
        text = piece.text if number else piece.text.partition("=")[2]
        pieces.extend((word, piece.line) for word in text.replace(",", " ").split())
    found: list[Origin | None] = []
    at = 0
    for word in words:
        head = word.split(maxsplit=1)[0] if word.strip() else word
        place = next((i for i in range(at, len(pieces)) if pieces[i][0] == head), None)
        if place is None:
            found.append(assignment.origin)
        else:
            found.append(Origin(assignment.origin.file, pieces[place][1]))
            at = place + 1
    return found
