"""Connections by client."""

import pytest

from homeport.server.connection_limit import ConnectionLimit, is_this_host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1", ""])
def test_loopback(host: str) -> None:
    assert is_this_host(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0", "128.0.0.1", "localhost"])
def test_other_hosts(host: str) -> None:
    assert not is_this_host(host)


def test_what_is_forgotten_leaves_nothing() -> None:
    limit = ConnectionLimit(1)
    counted = [limit.count(host) for host in ("10.0.0.1", "10.0.0.2", "10.0.0.1", "127.0.0.1")]
    assert [limit.exceeded(one) for one in counted] == [True, False, True, False]
    limit.forget(counted[0])
    assert not limit.exceeded(counted[2])
    for one in counted[1:]:
        limit.forget(one)
    assert len(limit) == 0


def test_without_a_limit_nobody_is_counted() -> None:
    limit = ConnectionLimit(0)
    assert not limit.exceeded(limit.count("10.0.0.1"))
    assert len(limit) == 0
