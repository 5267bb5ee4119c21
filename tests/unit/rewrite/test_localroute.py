"""mailbox_transport, fallback_transport, luser_relay (local(8)) and local_header_rewrite_clients (postconf(5))."""

from __future__ import annotations

import asyncio

import pytest

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.config.system import System
from tayori.rewrite.clients import HeaderRewriteClients
from tayori.rewrite.localroute import LocalRoute, Service
from tayori.rewrite.results import Deferred
from tayori.tables.registry import Tables


def route(**values: str) -> LocalRoute:
    settings = Settings.of({"myorigin": "example.com", "recipient_delimiter": "+"} | values)
    return LocalRoute(settings, Tables(settings))


def test_transports() -> None:
    here = route(
        mailbox_transport="lmtp:unix:private/dovecot",
        mailbox_transport_maps="inline:{taro=slow:}",
        fallback_transport_maps="fail:x",
    )
    taro = asyncio.run(here.mailbox("taro"))
    assert isinstance(taro, Service) and (taro.transport, taro.nexthop) == ("slow", "")
    other = asyncio.run(here.mailbox("hanako"))
    assert isinstance(other, Service) and (other.transport, other.nexthop) == ("lmtp", "unix:private/dovecot")
    assert isinstance(asyncio.run(here.fallback("x")), Deferred)
    assert asyncio.run(route().mailbox("x")) is None and asyncio.run(route().fallback("x")) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$user@other.host", "jiro@other.host"),
        ("$local@other.host", "jiro+ext@other.host"),
        ("admin+$local", "admin+jiro+ext@example.com"),
        ("catch${recipient_delimiter}$extension", "catch+ext@example.com"),
        ("box-${extension?{$extension}:{none}}", "box-ext@example.com"),
        ("$recipient", "jiro+ext@example.org"),
        ("", None),
    ],
)
def test_luser_relay(value: str, expected: str | None) -> None:
    assert route(luser_relay=value).luser("jiro+ext@example.org") == expected


def test_what_a_client_writes_is_not_expanded() -> None:
    assert route(luser_relay="$user@h.org").luser("$(home)@example.org") == "$(home)@h.org"
    with pytest.raises(ConfigError):
        route(luser_relay="${user")


def local(address: str, value: str, auth: str = "yes", **more: object) -> bool | Deferred:
    settings = Settings.of(
        {
            "local_header_rewrite_clients": value,
            "mynetworks": "10.0.0.0/8",
            "relay_clientcerts": "inline:{AB=x}",
            "smtpd_sasl_auth_enable": auth,
        },
        System(interfaces=("127.0.0.1/8", "192.0.2.5/24")),
    )
    return asyncio.run(HeaderRewriteClients(settings, Tables(settings)).match(address, **more))  # type: ignore[arg-type]


def test_local_header_rewrite_clients() -> None:
    assert local("192.0.2.5", "permit_inet_interfaces") is True
    assert local("192.0.2.6", "permit_inet_interfaces") is False
    assert local("10.1.1.1", "permit_mynetworks") is True
    assert local("9.9.9.9", "permit_sasl_authenticated", authenticated=True) is True
    assert local("9.9.9.9", "permit_sasl_authenticated", authenticated=True, auth="no") is False, "XCLIENT LOGIN="
    assert local("9.9.9.9", "permit_sasl_authenticated") is False
    assert local("9.9.9.9", "permit_tls_all_clientcerts", verified=True) is True
    assert local("9.9.9.9", "permit_tls_clientcerts", fingerprints=("AB",)) is True
    assert local("9.9.9.9", "check_address_map inline:{9.9.9.9=x}") is True
    assert local("9.9.9.9", "static:all") is True
    assert isinstance(local("9.9.9.9", "fail:x"), Deferred)
    assert local("127.0.0.1", "") is False
