from __future__ import annotations

import asyncio

import pytest

from tayori.config.settings import Settings
from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.programs.daemons.dispatch.ended import Ended, seconds
from tayori.programs.daemons.dispatch.status_filter import StatusFilter
from tayori.queue.model import Recipient
from tayori.tables.registry import Tables

NO = BouncedDelivery("no such user", "5.1.1", "mx.example", "550 no")
YES = Delivered("250 ok", "2.0.0", "mx.example", "250 ok")


def filtered(
    rule: str, outcome: DeliveryOutcome, program: str = "smtp", **more: str
) -> tuple[DeliveryOutcome, list[str]]:
    settings = Settings.of(more or {"smtp_delivery_status_filter": rule})
    lines: list[str] = []
    status = StatusFilter(settings, Tables(settings), lambda name, text: lines.append(f"{name}: {text}"))
    return asyncio.run(status.ended(Ended(Recipient(1, "a@b.example"), outcome, program))).outcome, lines


def test_failures_become_others_and_success_stays_success() -> None:
    assert filtered("regexp:{{/^5(.1.1 .*)/ 4$$1}}", NO) == (
        DeferredDelivery("no such user", "4.1.1", "mx.example", "550 no"), [])  # fmt: skip
    assert filtered("static:{5.0.0 never}", DeferredDelivery("later"))[0] == BouncedDelivery("never", "5.0.0", "none")
    assert filtered("static:{2.1.5 well}", YES)[0] == Delivered("well", "2.1.5", "mx.example", "250 ok")


@pytest.mark.parametrize(("answer", "outcome"), [("5.0.0 no", YES), ("2.0.0 yes", NO), ("4.1.1", NO), ("later", NO)])
def test_an_answer_that_fits_not_is_told_and_changes_nothing(answer: str, outcome: DeliveryOutcome) -> None:
    found, lines = filtered(f"static:{{{answer}}}", outcome)
    assert found is outcome and "smtp_delivery_status_filter" in lines[0]


def test_a_table_that_fails_is_told_and_changes_nothing() -> None:
    found, lines = filtered("fail:x", NO)
    assert found is NO and len(lines) == 1


def test_each_program_has_its_own_and_the_default() -> None:
    assert filtered("static:{4.0.0 x}", NO, "local")[0] is NO
    for program in ("smtp", "lmtp", "local", "virtual", "pipe"):
        assert filtered("", NO, program, default_delivery_status_filter="static:{4.0.0 x}")[0].enhanced == "4.0.0"
    assert filtered("", NO, "error", default_delivery_status_filter="static:{4.0.0 x}")[0] is NO


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.0, 2, "0"), (0.004, 2, "0"), (0.0126, 2, "0.01"), (0.0126, 6, "0.013"), (0.000123, 6, "0.00012"),
        (0.5, 2, "0.5"), (0.5, 0, "0"), (1.26, 2, "1.3"), (1.26, 0, "1"), (12.6, 2, "13"), (99.4, 2, "99"), (250.4, 2, "250"),
    ],
)  # fmt: skip
def test_delays_have_as_many_digits_as_asked_for(value: float, digits: int, shown: str) -> None:
    assert seconds(value, digits) == shown
