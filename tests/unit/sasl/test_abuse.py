from __future__ import annotations

from tayori.sasl.abuse import Abuse, Delay, Limits, Refuse, source_of


class World:
    def __init__(self, **limits: float) -> None:
        self.now = 1000.0
        self.said: list[str] = []
        self.abuse = Abuse(lambda: self.now, Limits(**limits), self.said.append)  # type: ignore[arg-type]

    def fail(self, address: str, user: str, times: int = 1) -> list[bool]:
        return [self.abuse.note(address, user, False) for _ in range(times)]


def test_a_slip_costs_nothing_and_a_flood_is_refused() -> None:
    world = World()
    assert world.abuse.check("192.0.2.1", "taro") == Delay()
    world.fail("192.0.2.1", "taro", 3)
    assert world.abuse.check("192.0.2.1", "taro") == Delay()
    world.fail("192.0.2.1", "taro", 3)
    held = world.abuse.check("192.0.2.1", "taro")
    assert isinstance(held, Delay) and 0 < held.seconds <= 8
    world.fail("192.0.2.1", "taro", 15)
    assert isinstance(world.abuse.check("192.0.2.1", "taro"), Refuse)
    assert isinstance(world.abuse.check("192.0.2.1", "other"), Refuse), "whatever the name"
    assert world.abuse.check("192.0.2.2", "other") == Delay()
    world.now += 3600
    assert world.abuse.check("192.0.2.1", "taro") == Delay(), "it wears off"


def test_the_owner_is_never_locked_out_by_others() -> None:
    world = World()
    world.abuse.note("198.51.100.1", "taro", True)
    for number in range(200):
        world.fail(f"192.0.2.{number}", "taro", 5)
    assert world.abuse.check("198.51.100.1", "Taro") == Delay(), "where he logged in lately nothing changes"
    elsewhere = world.abuse.check("203.0.113.9", "taro")
    assert isinstance(elsewhere, Delay) and elsewhere.seconds <= 8, "from a new place a delay, no refusal"
    world.fail("198.51.100.1", "hanako", 500)
    assert world.abuse.check("198.51.100.1", "taro") == Delay(), "nor by somebody behind the same address"


def test_one_with_an_old_password_does_not_harm_others_behind_the_same_address() -> None:
    world = World()
    world.abuse.note("198.51.100.1", "hanako", True)
    world.fail("198.51.100.1", "taro", 25)
    assert isinstance(world.abuse.check("198.51.100.1", "taro"), Refuse)
    assert world.abuse.check("198.51.100.1", "jiro") == Delay()


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


def test_memory_is_bounded() -> None:
    world = World(most=100)
    for number in range(1000):
        world.fail(f"10.0.{number // 250}.{number % 250}", f"user{number}", 6)
    for table in (world.abuse._sources, world.abuse._pairs, world.abuse._accounts, world.abuse._quiet):
        assert len(table) <= 100
