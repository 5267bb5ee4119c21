from __future__ import annotations

import os

from tayori.sasl import board
from tayori.sasl.abuse import Abuse, Delay, Limits, Refuse, source_of
from tayori.sasl.board import REGION, LoginBoard


def check(abuse: Abuse, address: str, user: str) -> Delay | Refuse:
    """What an attempt must pay; it ends at once, and nothing comes of it."""
    held = abuse.begin(address, user)
    if isinstance(held, Refuse):
        return held
    abuse.end(held.places)
    return Delay(held.seconds)


class World:
    def __init__(self, **limits: float) -> None:
        self.now = 1000.0
        self.said: list[str] = []
        self.abuse = Abuse(lambda: self.now, Limits(**limits), self.said.append)  # type: ignore[arg-type]

    def fail(self, address: str, user: str, times: int = 1) -> list[bool]:
        return [self.abuse.note(address, user, False) for _ in range(times)]


def test_a_slip_costs_nothing_and_a_flood_is_refused() -> None:
    world = World()
    assert check(world.abuse, "192.0.2.1", "taro") == Delay()
    world.fail("192.0.2.1", "taro", 3)
    assert check(world.abuse, "192.0.2.1", "taro") == Delay()
    world.fail("192.0.2.1", "taro", 3)
    held = check(world.abuse, "192.0.2.1", "taro")
    assert isinstance(held, Delay) and 0 < held.seconds <= 8
    world.fail("192.0.2.1", "taro", 15)
    assert isinstance(check(world.abuse, "192.0.2.1", "taro"), Refuse)
    assert isinstance(check(world.abuse, "192.0.2.1", "other"), Refuse), "whatever the name"
    assert check(world.abuse, "192.0.2.2", "other") == Delay()
    world.now += 3600
    assert check(world.abuse, "192.0.2.1", "taro") == Delay(), "it wears off"


def test_the_owner_is_never_locked_out_by_others() -> None:
    world = World()
    world.abuse.note("198.51.100.1", "taro", True)
    for number in range(200):
        world.fail(f"192.0.2.{number}", "taro", 5)
    assert check(world.abuse, "198.51.100.1", "Taro") == Delay(), "where he logged in lately nothing changes"
    elsewhere = check(world.abuse, "203.0.113.9", "taro")
    assert isinstance(elsewhere, Delay) and elsewhere.seconds <= 8, "from a new place a delay, no refusal"
    world.fail("198.51.100.1", "hanako", 500)
    assert check(world.abuse, "198.51.100.1", "taro") == Delay(), "nor by somebody behind the same address"


def test_one_with_an_old_password_does_not_harm_others_behind_the_same_address() -> None:
    world = World()
    world.abuse.note("198.51.100.1", "hanako", True)
    world.fail("198.51.100.1", "taro", 25)
    assert isinstance(check(world.abuse, "198.51.100.1", "taro"), Refuse)
    assert check(world.abuse, "198.51.100.1", "jiro") == Delay()


def test_an_ipv6_customer_is_one_source() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert source_of("::ffff:192.0.2.1") == "192.0.2.1"


def test_repeated_failures_are_one_line() -> None:
    world = World(summary_every=60)
    told = world.fail("192.0.2.1", "taro", 30)
    assert told.count(True) == 5
    assert world.said == []
    world.now += 61
    world.fail("192.0.2.9", "x")
    assert world.said == ["25 more failed log-ins from 192.0.2.1 in 61 s (taro)"]
    world.fail("192.0.2.1", "taro")
    world.abuse.summarise(everything=True)
    assert world.said[1].startswith("1 more")


def test_a_summary_comes_though_no_other_failure_does() -> None:
    world = World(summary_every=60)
    world.fail("192.0.2.1", "taro", 8)
    for _ in range(35):
        world.now += 2
        world.abuse.summarise()
    assert world.said == ["3 more failed log-ins from 192.0.2.1 in 60 s (taro)"]


def test_summaries_are_bounded() -> None:
    world = World(most_quiet=100)
    for number in range(1000):
        world.fail(f"10.0.{number // 250}.{number % 250}", f"user{number}", 6)
    assert len(world.abuse._quiet) == 100


class Workers:
    """Two views on one board, as two workers have."""

    def __init__(self, **limits: float) -> None:
        self.now = 1000.0
        self.board = LoginBoard(4, random=bytes)
        self.board.use(1)
        self.limits = Limits(**limits)  # type: ignore[arg-type]
        self.one, self.two = self.worker(0), self.worker(1)

    def worker(self, region: int) -> Abuse:
        self.board.use(region)
        return Abuse(lambda: self.now, self.limits, board=self.board, region=region)


def test_failures_add_up_over_workers() -> None:
    here = Workers()
    for number in range(20):
        (here.one, here.two)[number % 2].note("192.0.2.1", "taro", False)
    assert 19 < here.one.failures("192.0.2.1") <= 20
    for worker in (here.one, here.two):
        assert isinstance(check(worker, "192.0.2.1", "taro"), Refuse)
        assert isinstance(check(worker, "192.0.2.1", "other"), Refuse)
    here.now += 300
    assert isinstance(check(here.two, "192.0.2.1", "other"), Delay)
    here.now += 3600
    assert check(here.two, "192.0.2.1", "taro") == Delay()


def test_a_friend_of_one_worker_is_a_friend_of_all() -> None:
    here = Workers()
    here.one.note("198.51.100.1", "taro", True)
    for number in range(100):
        (here.one, here.two)[number % 2].note("198.51.100.1", "jiro", False)
    assert isinstance(check(here.two, "198.51.100.1", "jiro"), Refuse)
    assert check(here.two, "198.51.100.1", "Taro") == Delay()
    for _ in range(30):
        here.two.note("198.51.100.1", "taro", False)
    assert isinstance(check(here.one, "198.51.100.1", "taro"), Delay), "his own slips cost time, never the way in"
    here.now += 1
    here.one.note("198.51.100.1", "taro", True)
    assert check(here.two, "198.51.100.1", "taro") == Delay(), "and a right password makes them void in all workers"


def test_a_worker_that_dies_or_is_relieved_leaves_what_it_knew() -> None:
    here = Workers()
    here.one.note("198.51.100.1", "taro", True)
    for _ in range(25):
        here.one.note("192.0.2.1", "x", False)
    for region in (0, 3):
        next_one = here.worker(region)
        assert isinstance(check(next_one, "192.0.2.1", "x"), Refuse)
        for _ in range(25):
            next_one.note("198.51.100.1", "x", False)
        assert check(next_one, "198.51.100.1", "taro") == Delay()


def test_back_ends_of_another_service_have_accounts_of_their_own() -> None:
    shared = LoginBoard(1)
    smtp, relay = (Abuse(lambda: 1.0, board=shared, scope=scope) for scope in ("smtpd", "other"))
    smtp.note("192.0.2.1", "taro", True)
    for _ in range(300):
        smtp.note("192.0.2.1", "x", False)
    assert check(smtp, "192.0.2.1", "taro") == Delay()
    assert isinstance(check(relay, "192.0.2.1", "taro"), Refuse), "a source is one for both"


def test_very_many_names_and_sources_evict_no_owner_and_lift_no_limit() -> None:
    """40,000 sources with a name each are more than the tables hold."""
    here = Workers()
    owners = [(f"198.51.100.{n}", f"owner{n}") for n in range(100)]
    for address, name in owners:
        here.one.note(address, name, True)
    for _ in range(25):
        here.one.note("203.0.113.1", "guesser", False)
    for number in range(40_000):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        (here.one, here.two)[number & 1].note(address, f"u{number}", False)
    for address, name in owners:
        assert check(here.two, address, name) == Delay(), "every owner's record holds"
    assert isinstance(check(here.two, "203.0.113.1", "guesser"), Refuse), "who fails most stays counted"
    stranger = check(here.one, "203.0.113.77", "owner1")
    assert stranger == Delay(here.limits.longest_delay), "the flood itself costs strangers time, but no refusal"
    here.now += 3600
    assert check(here.one, "203.0.113.77", "owner1") == Delay()


def test_who_owns_an_account_pushes_out_his_own_records_alone() -> None:
    here = Workers()
    for n in range(500):
        here.one.note(f"198.51.{n >> 8}.{n & 255}", f"owner{n}", True)
    here.now += 5
    for number in range(20_000):
        here.one.note(f"10.0.{number >> 8}.{number & 255}", "guest", True)
    here.one.note("192.0.2.1", "x", False)
    for _ in range(60):
        here.one.note("10.0.0.1", "guest", False)
    lost = 0
    for n in range(500):
        address = f"198.51.{n >> 8}.{n & 255}"
        for _ in range(25):
            here.two.note(address, "x", False)
        lost += check(here.two, address, f"owner{n}") != Delay()
    assert lost == 0


def undecided(held: Delay | Refuse) -> bool:
    return isinstance(held, Refuse) and held.undecided


def test_log_ins_under_way_take_places_whatever_names_they_give() -> None:
    world = World()
    begun = [world.abuse.begin("192.0.2.1", f"user{number}") for number in range(50)]
    assert all(isinstance(held, Delay) and not held.seconds for held in begun[:20]), "parallel is no failure"
    assert all(undecided(held) for held in begun[20:])
    assert check(world.abuse, "192.0.2.2", "user1") == Delay(), "another source"
    for number, held in enumerate(begun[:20]):
        assert isinstance(held, Delay)
        world.abuse.note("192.0.2.1", f"user{number}", False)
        assert isinstance(world.abuse.begin("192.0.2.1", "x"), Refuse), "counted before its place is free"
        world.abuse.end(held.places)
        world.now += 0.1
        assert isinstance(world.abuse.begin("192.0.2.1", "x"), Refuse)
    last = world.abuse.begin("192.0.2.1", "x")
    assert isinstance(last, Refuse) and not last.undecided


def test_places_come_back_when_nothing_came_of_it_or_it_was_right() -> None:
    world = World()
    for round_ in range(10):
        begun = [world.abuse.begin("192.0.2.1", "taro") for _ in range(20)]
        assert all(isinstance(held, Delay) for held in begun)
        assert undecided(world.abuse.begin("192.0.2.1", "taro")), round_
        for held in begun:
            assert isinstance(held, Delay)
            world.abuse.end(held.places)
    assert check(world.abuse, "192.0.2.1", "taro") == Delay() and world.abuse.failures("192.0.2.1") == 0
    world.fail("192.0.2.9", "x")
    begun = [world.abuse.begin("192.0.2.1", "taro") for _ in range(20)]
    assert undecided(world.abuse.begin("192.0.2.1", "hanako"))
    world.abuse.note("192.0.2.1", "taro", True)
    assert all(isinstance(world.abuse.begin("192.0.2.1", "taro"), Delay) for _ in range(500)), (
        "the owner waits for none"
    )
    assert isinstance(world.abuse.begin("192.0.2.1", "hanako"), Delay), "and a source with a friend has more room"


def test_places_are_one_for_all_workers_and_a_dead_one_holds_none() -> None:
    here = Workers()
    begun = [(here.one, here.two)[number % 2].begin("192.0.2.1", "taro") for number in range(20)]
    assert all(isinstance(held, Delay) for held in begun)
    assert undecided(here.one.begin("192.0.2.1", "x")) and undecided(here.two.begin("192.0.2.1", "x"))
    here.board.clear_begun(0)
    again = [here.two.begin("192.0.2.1", "taro") for _ in range(11)]
    assert [isinstance(held, Delay) for held in again] == [True] * 10 + [False]
    for held in [*begun[1::2], *again[:10]]:
        assert isinstance(held, Delay)
        here.two.end(held.places)
    assert sum(isinstance(here.one.begin("192.0.2.1", f"u{n}"), Delay) for n in range(50)) == 20


def test_more_log_ins_under_way_than_there_is_room_for_shut_nobody_out() -> None:
    here = Workers()
    begun = [here.one.begin(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "taro") for n in range(20_000)]
    assert all(isinstance(held, Delay) for held in begun)
    assert any(len(held.places) < 2 for held in begun if isinstance(held, Delay)), "more than the table holds"
    assert check(here.two, "203.0.113.1", "taro") == Delay()
    for held in begun:
        assert isinstance(held, Delay)
        here.one.end(held.places)
    table = here.board.memory[64 + board.REGION - board._BEGUN_TABLE : 64 + board.REGION]
    assert not any(table), "nothing is left behind"


def test_the_board_takes_a_bounded_piece_of_memory() -> None:
    assert REGION < 1_200_000
    assert len(LoginBoard(4).memory) < 4 * REGION + 100


def test_at_once_in_real_processes_no_more_get_in_than_the_limit() -> None:
    """Each of four begins 100 at the same moment and lets none end."""
    for _ in range(10):
        shared = LoginBoard(4)
        for region in range(4):
            shared.use(region)
        gate, go = os.pipe()
        answer, say = os.pipe()
        pids = []
        for region in range(4):
            pid = os.fork()
            if pid == 0:
                try:
                    mine = Abuse(lambda: 5.0, board=shared, region=region)
                    os.close(go)
                    os.read(gate, 1)
                    got = [isinstance(mine.begin("192.0.2.1", f"u{number}"), Delay) for number in range(100)]
                    os.write(say, bytes([sum(got)]))
                    os._exit(0)
                finally:
                    os._exit(1)
            pids.append(pid)
        os.close(gate)
        os.close(go)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 4
        total = sum(os.read(answer, 4))
        os.close(answer)
        os.close(say)
        assert 17 <= total <= 20, total


def test_real_processes_share_it() -> None:
    """Forked as workers are; each writes its own region at the same time as the others."""
    shared = LoginBoard(4)
    pids = []
    for region in range(4):
        shared.use(region)
        pid = os.fork()
        if pid == 0:
            try:
                mine = Abuse(lambda: 5.0, board=shared, region=region)
                for number in range(2000):
                    mine.note("192.0.2.1", f"u{number % 50}", False)
                mine.note(f"198.51.100.{region}", "taro", True)
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 4
    view = Abuse(lambda: 5.0, board=shared)
    assert view.failures("192.0.2.1") == 8000
    assert all(check(view, f"198.51.100.{region}", "taro") == Delay() for region in range(4))
    assert isinstance(check(view, "192.0.2.1", "taro"), Refuse)
