from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.schedule.destinations import Busy, Dead, Destinations, Go
from tayori.schedule.feedback import Feedback, Limits


def destinations(limits: Limits | None = None, memory: int = 5000) -> Destinations:
    fixed = limits or Limits()
    return Destinations(lambda transport: fixed, rest=300, longest_rest=4000, memory=memory)


def take(d: Destinations, host: str, now: float = 0) -> int:
    taken = 0
    while d.start("smtp", host, now) == Go():
        taken += 1
    return taken


def test_concurrency_starts_small_and_grows_to_the_limit() -> None:
    d = destinations(Limits(concurrency=20, initial=5))
    running = take(d, "a")
    assert running == 5
    for _ in range(100):
        d.finished("smtp", "a", 0, True)
        running += take(d, "a") - 1
        assert running <= 20
    assert running == 20


def test_a_dead_site_rests_is_probed_once_and_comes_back() -> None:
    d = destinations()
    assert take(d, "dead") == 5
    for _ in range(5):
        d.finished("smtp", "dead", 0, False, "Connection refused")
    assert d.start("smtp", "dead", 1) == Dead(300, "Connection refused")
    assert d.start("smtp", "alive", 1) == Go()
    probe = d.start("smtp", "dead", 300)
    assert probe == Go(probe=True)
    assert isinstance(d.start("smtp", "dead", 300), Dead)
    d.finished("smtp", "dead", 330, False, "timed out", probe)
    assert d.start("smtp", "dead", 330) == Dead(930, "timed out")
    probe = d.start("smtp", "dead", 930)
    assert isinstance(probe, Go)
    d.finished("smtp", "dead", 931, True, go=probe)
    assert take(d, "dead", 931) >= 5


def test_rest_doubles_up_to_the_longest() -> None:
    d = destinations(Limits(initial=1))
    now, rests = 0.0, []
    go = d.start("smtp", "x", now)
    for _ in range(7):
        assert isinstance(go, Go)
        d.finished("smtp", "x", now, False, "no", go)
        answer = d.start("smtp", "x", now)
        assert isinstance(answer, Dead)
        rests.append(answer.until - now)
        now = answer.until
        go = d.start("smtp", "x", now)
    assert rests == [300, 600, 1200, 2400, 4000, 4000, 4000]


def test_a_straggler_is_not_taken_for_the_probe() -> None:
    d = destinations(Limits(initial=2, negative=Feedback(0)))
    first, second, third = (d.start("smtp", "x", 0) for _ in range(3))
    assert first == second == Go() and third == Busy()
    d.finished("smtp", "x", 0, False, "a", Go())
    d.start("smtp", "x", 0)
    d.finished("smtp", "x", 0, False, "b", Go())
    probe = d.start("smtp", "x", 300)
    assert probe == Go(probe=True)
    d.finished("smtp", "x", 301, False, "late straggler", Go())
    assert d.start("smtp", "x", 301) == Dead(302, "late straggler")


def test_a_straggler_that_gets_through_proves_the_site_alive() -> None:
    d = destinations(Limits(initial=2))
    d.start("smtp", "x", 0), d.start("smtp", "x", 0)
    d.finished("smtp", "x", 0, False, "a")
    d.finished("smtp", "x", 1, True)
    assert d.start("smtp", "x", 2) == Go()


def test_cohort_limit_zero_never_dies() -> None:
    d = destinations(Limits(cohorts=0))
    for _ in range(100):
        assert d.start("smtp", "x", 0) == Go()
        d.finished("smtp", "x", 0, False, "no")
    assert take(d, "x") == 1


def test_a_failure_at_a_message_says_nothing_about_the_site() -> None:
    d = destinations(Limits(initial=1))
    for _ in range(50):
        assert d.start("smtp", "x", 0) == Go()
        d.finished("smtp", "x", 0, None)


def test_other_workers_count_against_the_limit() -> None:
    d = destinations(Limits(concurrency=3, initial=3))
    assert d.start("smtp", "x", 0, elsewhere=3) == Busy()
    assert d.start("smtp", "x", 0, elsewhere=2) == Go()
    assert d.start("smtp", "x", 0, elsewhere=2) == Busy()


def test_memory_is_bounded_and_busy_sites_are_kept() -> None:
    d = destinations(memory=100)
    d.start("smtp", "busy", 0)
    for number in range(1000):
        go = d.start("smtp", f"host{number}", 0)
        assert isinstance(go, Go)
        d.finished("smtp", f"host{number}", 0, True)
    assert len(d) <= 101
    d.start("smtp", "busy", 0)
    assert take(d, "busy") == 3  # two of five were taken


@given(st.lists(st.tuples(st.sampled_from(["start", "good", "bad", "none"]), st.integers(0, 500)), max_size=200))
def test_slots_never_exceed_the_limit_and_never_leak(steps: list[tuple[str, int]]) -> None:
    d, running, now = destinations(Limits(concurrency=4, initial=2)), [], 0.0
    for step, wait in steps:
        now += wait
        if step == "start":
            answer = d.start("smtp", "x", now)
            if isinstance(answer, Go):
                running.append(answer)
        elif running:
            go = running.pop()
            d.finished("smtp", "x", now, {"good": True, "bad": False, "none": None}[step], "r", go)
        assert len(running) <= 4
    for go in running:
        d.finished("smtp", "x", now, None, go=go)
    assert isinstance(d.start("smtp", "x", now + 10_000), Go)


@pytest.mark.parametrize(
    ("text", "concurrency", "share"),
    [("1", 7, 1.0), ("1/4", 7, 0.25), ("1/concurrency", 5, 0.2), ("1 / sqrt_concurrency", 4, 0.5), ("0", 3, 0.0)],
)
def test_feedback_forms(text: str, concurrency: int, share: float) -> None:
    assert Feedback.parse(text).share(concurrency) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "2", "-1", "1/x", "1/0", "x", "nan"])
def test_bad_feedback_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Feedback.parse(text)


def test_limits_take_the_transports_own_settings() -> None:
    settings = Settings.of(
        {
            "slow_destination_concurrency_limit": "2",
            "default_destination_concurrency_limit": "7",
            "default_destination_recipient_limit": "10",
            "smtp_destination_concurrency_positive_feedback": "1/concurrency",
        }
    )
    assert Limits.of(settings, "slow").concurrency == 2
    assert Limits.of(settings, "slow").initial == 2
    assert Limits.of(settings, "smtp").concurrency == 7
    assert Limits.of(settings, "smtp").positive == Feedback(1, "concurrency")
    assert Limits.of(settings, "smtp").recipients == 10
    assert Limits.of(settings, "local").concurrency == 2


def test_bad_limit_names_its_line() -> None:
    settings = Settings.of({"x": "1", "default_destination_concurrency_negative_feedback": "9"})
    with pytest.raises(ConfigError, match=r"main\.cf:2"):
        Limits.of(settings, "own")
