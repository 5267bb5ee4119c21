"""The address that probes come from: address_verify_sender, address_verify_sender_ttl (postconf(5)).

With a ttl the local part ends in a number that changes with time; what was sent to the address of the period before
is still for us. Mail to it is taken whatever the rules say: a probe must never wait for another probe.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tayori.config.settings import Settings
from tayori.rewrite.form import Form

_DIGITS = "0123456789bcdfghjklmnpqrstvwxyz"


class ProbeSender:
    """`clock` gives seconds since the epoch."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        sender = settings.text("address_verify_sender")
        whole = Form(settings).envelope(sender) if sender != "<>" else ""
        self._local, self._at, self._domain = whole.rpartition("@")
        self._start = self._local.lower()
        self._end = f"@{self._domain.lower()}"
        self._ttl = settings.seconds("address_verify_sender_ttl")
        self._clock = clock

    def now(self) -> str:
        """The sender of a probe; "" for <>."""
        return f"{self._local}{self._number(0)}{self._at}{self._domain}"

    def owns(self, address: str) -> bool:
        """Whether mail for `address` is for the prober."""
        if not self._local or address[: len(self._start)].lower() != self._start:
            return False
        rest = address[len(self._start) :].lower()
        if not self._ttl:
            return rest == self._end
        return any(rest == f"{self._number(shift)}{self._end}" for shift in (0, -1, 1))

    def _number(self, shift: int) -> str:
        """Of this period, or another; in digits and consonants, so that it makes no words."""
        if not self._ttl or not self._local:
            return ""
        number, text = int(self._clock()) // self._ttl + shift, ""
        while number > 0:
            number, digit = divmod(number, len(_DIGITS))
            text = _DIGITS[digit] + text
        return text


class Nobody:
    """The local addresses whose mail is thrown away: double_bounce_sender, and what probes come from by default."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._reports = settings.text("double_bounce_sender").lower()
        probes = settings.text("address_verify_sender").lower()
        self._prober = ProbeSender(settings, clock) if probes == self._reports else None

    def owns(self, address: str) -> bool:
        """Whether it is one of them; `address` is in a domain of our own."""
        if address.rpartition("@")[0].lower() == self._reports:
            return True
        return self._prober is not None and self._prober.owns(address)
