from __future__ import annotations

import pytest

from tayori.config.settings import Settings
from tayori.schedule.backoff import Backoff


@pytest.mark.parametrize(
    ("age", "wait"),
    [(0, 300), (299, 300), (300, 300), (301, 301), (1000, 1000), (4000, 4000), (90_000, 4000), (-50, 300)],
)
def test_wait_is_the_age_between_the_two_limits(age: float, wait: float) -> None:
    assert Backoff().due(arrival=10_000, now=10_000 + age) == 10_000 + age + wait


def test_a_dead_site_is_not_tried_before_its_rest_ends() -> None:
    assert Backoff().due(0, 100, dead_until=9000) == 9000
    assert Backoff().due(0, 100, dead_until=150) == 400


def test_settings_are_read_with_their_units() -> None:
    backoff = Backoff.of(
        Settings.of(
            {
                "minimal_backoff_time": "5m",
                "maximal_backoff_time": "1m",
                "maximal_queue_lifetime": "2d",
                "bounce_queue_lifetime": "1d",
                "delay_warning_time": "4h",
            }
        )
    )
    assert backoff == Backoff(300, 300, 172_800, 86_400, 14_400)


def test_lifetime_depends_on_the_sender() -> None:
    backoff = Backoff(lifetime=100, bounce_lifetime=10)
    assert not backoff.expired(0, "a@b", 99)
    assert backoff.expired(0, "a@b", 100)
    assert not backoff.expired(0, "", 9)
    assert backoff.expired(0, "", 10)
    assert Backoff(lifetime=0).expired(5, "a@b", 5)


def test_warning_goes_out_once_and_never_for_a_bounce() -> None:
    backoff = Backoff(warning=100)
    assert not backoff.warn(0, False, "a@b", 99)
    assert backoff.warn(0, False, "a@b", 100)
    assert not backoff.warn(0, True, "a@b", 100)
    assert not backoff.warn(0, False, "", 100)
    assert not Backoff().warn(0, False, "a@b", 1e9)


def test_a_retry_schedule_of_five_days_runs_in_no_time() -> None:
    backoff, now, attempts = Backoff(), 0.0, 0
    while not backoff.expired(0, "a@b", now):
        now = backoff.due(0, now)
        attempts += 1
    assert 105 < attempts < 120  # 300, 300, 600, 1200, 2400, then every 4000 seconds
