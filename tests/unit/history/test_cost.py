"""The history's cost on the event loop: a budget for one message with one recipient."""

from __future__ import annotations

import time
from pathlib import Path

from tayori.delivery.outcome import Delivered
from tayori.policy.facts import ClientFacts, Facts, Stage
from tayori.policy.policy import PERMITTED
from tayori.programs.daemons.smtpd.values import Transaction
from tayori.programs.history.history import WAITING, History
from tayori.protocol.reply import Reply

CLIENT = ClientFacts("192.0.2.1")
REPLY = Reply(250, "2.0.0", "Ok: queued as 7A0")


class Party:
    client, helo, esmtp, tls, login = CLIENT, "x", True, None, None
    transaction = Transaction("a@b.example", number=7)


def one(history: History, facts: Facts, outcome: Delivered) -> None:
    trail = history.trail()
    trail.offered(())
    trail.judged(PERMITTED, facts)
    trail.answered(REPLY)
    trail.ends(Party)  # type: ignore[arg-type]
    trail.gone(Party)  # type: ignore[arg-type]
    history.outcome(7, "sent", "b@example.com", "b@example.com", outcome)


def test_a_message_costs_a_few_microseconds(tmp_path: Path) -> None:
    history = History(tmp_path, 30, 0, False, False)
    facts = Facts(CLIENT, Stage.RCPT, recipient="b@example.com", sender="a@b.example")
    outcome = Delivered("delivered to maildir")
    best = 1.0
    for _ in range(5):
        history._waiting.clear()
        begun = time.process_time()
        for _ in range(1000):
            one(history, facts, outcome)
        best = min(best, (time.process_time() - begun) / 1000)
    print(f"{best * 1e6:.1f} µs")
    assert best < 15e-6


def test_memory_is_bounded_and_the_loss_is_counted(tmp_path: Path) -> None:
    history = History(tmp_path, 30, 0, False, False)
    outcome = Delivered("delivered to maildir")
    for _ in range(WAITING + 5):
        history.outcome(7, "sent", "b@example.com", "", outcome)
    assert len(history._waiting) == WAITING
    assert history._dropped == 5
