"""cidr: networks and addresses in a file, the first that holds the address gives the value (cidr_table(5)).

    net/len value      !net/len value      if net/len … endif      if !net/len … endif

Two exclamation marks say nothing, blanks may stand between them. Scope ids (`fe80::1%eth0`) and `IPv6:` are no part
of an address here; a client's address comes without.

Thousands of rules cost as much as the number of different prefix lengths among them (networks.py); negated rules
and if blocks are asked one by one, in their order. A key that is no address is in no table.
"""

from __future__ import annotations

from collections.abc import Iterator

from tayori.config.origin import Origin
from tayori.tables.lines import Problem
from tayori.tables.networks import WIDTH, Network, NetworkIndex, parse_network, plain_address
from tayori.tables.outcome import NOT_FOUND, Found, Outcome, TempFail
from tayori.tables.rules import Block, RuleLine, RuleSource
from tayori.tables.spec import Spec

Hit = tuple[str, int]


def holds(network: Network, version: int, number: int) -> bool:
    """Whether the network holds the address; never so for the other IP version."""
    return network.version == version and number >> (WIDTH[version] - network.length) == network.value


def parse_rule(item: RuleLine | Block) -> tuple[bool, Network, str]:
    """(negated, network, value) of a rule; an `if` has no value. Raises ValueError."""
    text = item.condition if isinstance(item, Block) else item.text
    rest = text.lstrip("! \t")
    negated = text[: len(text) - len(rest)].count("!") % 2 == 1
    words = rest.split(None, 1)
    pattern, value = (words[0] if words else ""), (words[1].strip() if len(words) == 2 else "")
    if isinstance(item, RuleLine) and not value:
        raise ValueError("expected a network, white space and a value")
    if isinstance(item, Block) and value:
        raise ValueError('there is text after the network of "if"')
    return negated, parse_network(pattern, plain_address), value


class CidrRules:
    """The rules of one file or one if block, in order."""

    def __init__(self, tree: tuple[RuleLine | Block, ...], problems: list[Problem]) -> None:
        self._index = NetworkIndex()
        self._hits: dict[int, Hit] = {}
        self._slow: list[tuple[int, Network, bool, Hit | CidrRules]] = []
        for place, item in enumerate(tree):
            try:
                negated, network, value = parse_rule(item)
            except ValueError as error:
                problems.append(Problem(item.line, str(error)))
                continue
            if isinstance(item, Block):
                self._slow.append((place, network, negated, CidrRules(item.body, problems)))
            elif negated:
                self._slow.append((place, network, True, (value, item.line)))
            else:
                self._index.add(network, place)
                self._hits[place] = (value, item.line)

    def find(self, version: int, number: int) -> Hit | None:
        """The value and line of the first rule that fits."""
        best = self._index.first(version, number)
        for place, network, negated, what in self._slow:
            if 0 <= best < place:
                break
            # A rule for one IP version says nothing about an address of the other, negated or not.
            if network.version != version or holds(network, version, number) == negated:
                continue
            hit = what.find(version, number) if isinstance(what, CidrRules) else what
            if hit is not None:
                return hit
        return self._hits[best] if best >= 0 else None

    def networks(self) -> Iterator[Hit]:
        """Values and lines of the plain rules, in order."""
        for place in sorted(self._hits):
            yield self._hits[place]


class CidrTable:
    """cidr:/file or cidr:{ { rule }, … }."""

    partial = False

    def __init__(self, spec: Spec) -> None:
        self.name = spec.name
        self.source: RuleSource[CidrRules] = RuleSource(spec, CidrRules)

    async def lookup(self, key: str) -> Outcome:
        """Ask for an address."""
        rules = self.source.current()
        if rules is None:
            return TempFail(f"{self.name}: {self.source.why}")
        address = plain_address(key)
        if address is None:
            return NOT_FOUND
        hit = rules.find(*address)
        return NOT_FOUND if hit is None else Found(hit[0], Origin(self.source.file, hit[1]))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The bad lines of the version read last."""
        return self.source.problems

    @property
    def why(self) -> str:
        """Why the table cannot be read; empty when it can."""
        return self.source.why

    def close(self) -> None:
        """Nothing to release."""
