"""inet_interfaces, and the default of mynetworks that is made of it: as Debian's Postfix 3.7.11 shows them."""

from __future__ import annotations

import pytest

from tayori.config.interfaces import own_addresses
from tayori.config.settings import Settings
from tayori.config.system import System

SYSTEM = System(
    interfaces=("127.0.0.1/8", "::1/128", "192.0.2.2/24", "fd00::2/64", "fe80::fc:ff:fe00:1/64"),
    resolve=lambda name: {"localhost": ("::1", "127.0.0.1"), "me.example": ("192.0.2.2",)}.get(name, ()),
)
HOST = "127.0.0.1/32 192.0.2.2/32 [::1]/128 [fd00::2]/128 [fe80::fc:ff:fe00:1]/128"
SUBNET = "127.0.0.0/8 192.0.2.0/24 [::1]/128 [fd00::]/64 [fe80::]/64"


@pytest.mark.parametrize(
    ("interfaces", "protocols", "host", "subnet"),
    [
        ("all", "all", HOST, SUBNET),
        ("all", "ipv4", "127.0.0.1/32 192.0.2.2/32", "127.0.0.0/8 192.0.2.0/24"),
        ("all", "ipv6", "[::1]/128 [fd00::2]/128 [fe80::fc:ff:fe00:1]/128", "[::1]/128 [fd00::]/64 [fe80::]/64"),
        ("loopback-only", "all", "127.0.0.1/32 [::1]/128", "127.0.0.0/8 [::1]/128"),
        ("127.0.0.1", "all", "127.0.0.1/32", "127.0.0.0/8"),
        ("[::1], me.example", "ipv4, ipv6", "192.0.2.2/32 [::1]/128", "192.0.2.0/24 [::1]/128"),
        ("localhost", "ipv4", "127.0.0.1/32", "127.0.0.0/8"),
        ("", "all", "", ""),
    ],
)
def test_mynetworks(interfaces: str, protocols: str, host: str, subnet: str) -> None:
    main = {"inet_interfaces": interfaces, "inet_protocols": protocols}
    assert Settings.of({**main, "compatibility_level": "3.6"}, SYSTEM).text("mynetworks") == host
    assert Settings.of(main, SYSTEM).text("mynetworks") == subnet
    assert Settings.of({**main, "mynetworks_style": "class"}, SYSTEM).text("mynetworks") == subnet


def test_a_stranger_on_another_loopback_address_is_none_of_us() -> None:
    assert "127.0.0.2" not in own_addresses(Settings.of({}, SYSTEM))


def test_a_name_without_an_address_trusts_nobody() -> None:
    system = System(interfaces=SYSTEM.interfaces)
    assert Settings.of({"inet_interfaces": "nosuch.example"}, system).text("mynetworks") == ""
