"""default_delivery_status_filter and the agents' own (postconf(5)): other codes and texts for how deliveries ended.

A table is asked `code text` and answers in the same form; it may turn 4.x.x into 5.x.x and back, never success into
failure. What it says otherwise, and a table that cannot be asked, is logged and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.programs.daemons.dispatch.ended import Ended
from tayori.tables.maps import Maps
from tayori.tables.outcome import Found, TempFail
from tayori.tables.registry import Tables

PROGRAMS = ("smtp", "lmtp", "local", "virtual", "pipe")
_KINDS: dict[str, Callable[[str, str, str, str], DeliveryOutcome]] = {
    "2": Delivered,
    "4": DeferredDelivery,
    "5": BouncedDelivery,
}
_ANSWER = re.compile(r"([245])(\.\d{1,3}\.\d{1,3})\s+(\S.*)", re.DOTALL)


class StatusFilter:
    """The filters of one configuration, by program. `log(program, text)` writes a line."""

    def __init__(self, settings: Settings, tables: Tables, log: Callable[[str, str], None]) -> None:
        """Raises ConfigError."""
        found = {name: Maps.from_settings(tables, settings, f"{name}_delivery_status_filter") for name in PROGRAMS}
        self._maps = {name: maps for name, maps in found.items() if maps}
        self._log = log

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def ended(self, end: Ended) -> Ended:
        """The same end, perhaps with another outcome."""
        maps = self._maps.get(end.program)
        if maps is None or end.forwards:
            return end
        outcome = end.outcome
        asked = f"{outcome.enhanced} {outcome.text}"
        answer = await maps.lookup(asked)
        if isinstance(answer, TempFail):
            self._log(end.program, f"warning: {end.program}_delivery_status_filter: {answer.why}")
        elif isinstance(answer, Found):
            new = _changed(outcome, answer.value)
            if new is not None:
                return replace(end, outcome=new)
            name = f"{end.program}_delivery_status_filter"
            self._log(end.program, f'warning: {name}: "{answer.value}" cannot take the place of "{asked}"')
        return end


def _changed(outcome: DeliveryOutcome, answer: str) -> DeliveryOutcome | None:
    match = _ANSWER.match(answer.strip())
    if match is None or (match[1] == "2") is not isinstance(outcome, Delivered):
        return None
    kind = _KINDS[match[1]]
    return kind(match[3], match[1] + match[2], outcome.relay, outcome.reply)
