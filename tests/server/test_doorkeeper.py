from __future__ import annotations

import pytest

from fetalseg_server.access.addresses import FailedAttempts, group_of
from fetalseg_server.access.client_rates import ClientRates
from fetalseg_server.access.tokens import Client
from fetalseg_server.rate_limit import RateLimit
from fetalseg_server.transport.doorkeeper import Doorkeeper, parse_networks

PROXIES = parse_networks(["192.0.2.7", "10.1.0.0/16", "2001:db8::/48"])


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_one_network_card_can_choose_from_is_one_address(address: str, group: str) -> None:
    assert group_of(address) == group


def test_each_address_has_its_own_number_of_connections() -> None:
    door = Doorkeeper(max_pending=2, proxies=(), tls=False)
    first, second = door.enter("192.0.2.1"), door.enter("192.0.2.1")
    assert first is not None
    assert second is not None
    assert door.enter("192.0.2.1") is None
    assert door.enter("192.0.2.2") is not None
    assert (door.pending, door.refused) == (3, 1)
    first.leave()
    first.leave()  # once is enough
    assert door.pending == 2
    assert door.enter("192.0.2.1") is not None
    assert door.enter("192.0.2.1") is None


@pytest.mark.parametrize(
    ("address", "plain", "encrypted"),
    [
        ("192.0.2.7", True, True),
        ("10.1.255.1", True, True),
        ("::ffff:10.1.255.1", True, True),
        ("2001:db8::5", True, True),
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("::ffff:127.0.0.1", True, True),
        ("192.0.2.8", False, True),
        ("10.2.0.1", False, True),
        ("", False, True),
    ],
)
def test_behind_a_proxy_nobody_else_connects_in_the_clear(address: str, plain: bool, encrypted: bool) -> None:
    for tls, expected in ((False, plain), (True, encrypted)):
        door = Doorkeeper(max_pending=1, proxies=PROXIES, tls=tls)
        assert (door.enter(address) is not None) is expected


def test_a_proxy_stands_for_many() -> None:
    door = Doorkeeper(max_pending=1, proxies=PROXIES, tls=False)
    assert all(door.enter("10.1.0.1") is not None for _ in range(50))
    assert door.pending == 0


def test_a_bad_proxy_is_named() -> None:
    with pytest.raises(ValueError, match=r"trusted_proxies must hold addresses or networks: 'proxy\.example'"):
        parse_networks(["10.0.0.1", "proxy.example"])


def test_a_rate_allows_a_burst_and_then_its_share() -> None:
    limit = RateLimit(per_s=0.001, burst=3)
    assert [limit.take() for _ in range(5)] == [True, True, True, False, False]
    assert 900 < limit.wait_s() <= 1000
    assert not limit.full
    assert RateLimit(per_s=1e9, burst=1).take()


def test_a_refused_event_takes_nothing() -> None:
    limit = RateLimit(per_s=0.001, burst=1)
    assert [limit.take() for _ in range(100)] == [True, *[False] * 99]
    assert limit.wait_s() <= 1000  # one event's worth is missing, not a hundred


def test_clients_have_rates_of_their_own() -> None:
    rates = ClientRates()
    slow, free = Client("slow", max_fps=1), Client("free")
    assert [rates.take_frame(slow) for _ in range(3)] == [True, True, False]
    assert all(rates.take_frame(free) for _ in range(1000))
    assert rates.take_frame(Client("other", max_fps=1))


def test_wrong_tokens_of_many_addresses_do_not_fill_the_memory() -> None:
    attempts = FailedAttempts(1)
    for number in range(10_050):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._limits) <= 10_000
    assert attempts.wait_s("10.0.39.65") > 0  # the latest
    assert attempts.wait_s("10.0.0.0") == 0  # the oldest is forgotten
