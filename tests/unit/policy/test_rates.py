"""Limits per client across workers: sums over regions, the window, slots that give way."""

from __future__ import annotations

from tayori.config.settings import Settings
from tayori.policy.rates import Board, Limits, Rates


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def pair(clock: Clock, **limits: int) -> tuple[Board, Rates, Rates]:
    board = Board(4)
    given = Limits(**limits)
    return board, Rates(board, 0, "smtp", given, clock), Rates(board, 3, "smtp", given, clock)


def test_connections_of_all_workers_count_together() -> None:
    board, one, two = pair(Clock(), connections=3)
    assert [one.connect("10.0.0.1"), two.connect("10.0.0.1"), one.connect("10.0.0.1")] == ["", "", ""]
    assert two.connect("10.0.0.1") == "concurrency"
    assert two.connect("10.0.0.2") == ""
    two.disconnect("10.0.0.1")
    two.disconnect("10.0.0.1")
    assert one.connect("10.0.0.1") == ""
    board.clear(0)
    assert [two.connect("10.0.0.1") for _ in range(3)] == ["", "", ""]


def test_more_ends_than_connections_do_not_go_below_nothing() -> None:
    _, one, _ = pair(Clock(), connections=1)
    for _ in range(5):
        one.disconnect("10.0.0.1")
    assert one.connect("10.0.0.1") == ""
    assert one.connect("10.0.0.1") == "concurrency"


def test_rates_within_their_window() -> None:
    clock = Clock()
    _, one, two = pair(clock, connection_rate=2, message_rate=2, recipient_rate=1, auth_rate=1, unit=60)
    assert [one.connect("::1"), two.connect("::1"), one.connect("::1")] == ["", "", "rate"]
    assert [one.message("::1"), two.message("::1"), one.message("::1")] == [False, False, True]
    assert [one.recipient("::1"), two.recipient("::1")] == [False, True]
    assert [one.auth("::1"), two.auth("::1")] == [False, True]
    clock.now += 61
    assert one.connect("::1") == ""
    assert not one.message("::1") and not two.recipient("::1") and not two.auth("::1")


def test_old_counts_do_not_return_with_a_new_window() -> None:
    clock = Clock()
    _, one, two = pair(clock, message_rate=3, unit=60)
    for _ in range(3):
        assert not one.message("10.0.0.1")
    clock.now += 59
    assert two.message("10.0.0.1")
    clock.now += 2
    assert not two.message("10.0.0.1")


def test_services_and_networks() -> None:
    board = Board(1)
    limits = Limits(connections=1, ipv4_prefix=24, ipv6_prefix=64)
    smtp, submission = Rates(board, 0, "smtp", limits), Rates(board, 0, "submission", limits)
    assert smtp.connect("10.0.0.1") == ""
    assert smtp.connect("10.0.0.200") == "concurrency"
    assert smtp.connect("10.0.1.1") == ""
    assert submission.connect("10.0.0.1") == ""
    assert smtp.connect("2001:db8::1") == ""
    assert smtp.connect("2001:db8::ffff") == "concurrency"
    assert smtp.connect("2001:db8:0:1::1") == ""


def test_no_limits_cost_nothing() -> None:
    board = Board(1)
    rates = Rates(board, 0, "smtp", Limits())
    assert rates.connect("10.0.0.1") == "" and not rates.message("10.0.0.1")
    assert bytes(board.memory) == bytes(len(board.memory))


def test_many_addresses_never_push_out_one_that_is_connected() -> None:
    """A flood of addresses takes idle slots, the oldest first; whoever is connected stays counted."""
    clock = Clock()
    board, one, _ = pair(clock, connections=2)
    for _ in range(2):
        assert one.connect("192.0.2.1") == ""
    for n in range(20_000):
        address = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        one.connect(address)
        one.disconnect(address)
        clock.now += 0.01
    assert one.connect("192.0.2.1") == "concurrency"
    assert len(board.memory) == len(Board(4).memory)


def test_limits_of_settings() -> None:
    limits = Limits.of(Settings.of({"anvil_rate_time_unit": "2m", "smtpd_client_message_rate_limit": "7"}))
    assert (limits.unit, limits.message_rate, limits.connections) == (120, 7, 50)


def test_tls_sessions_are_counted_for_themselves() -> None:
    clock = Clock()
    _, one, two = pair(clock, tls_rate=2)
    assert [one.tls("192.0.2.1"), two.tls("192.0.2.1"), one.tls("192.0.2.1")] == [False, False, True]
    assert not one.message("192.0.2.1") and not one.tls("192.0.2.2")
    clock.now += 61
    assert not one.tls("192.0.2.1")
