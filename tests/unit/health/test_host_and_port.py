"""Targets written as host:port."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.health.kinds.host_and_port import bracketed, host_and_port


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), ("[::1]:443", "::1", 443), (":8080", "localhost", 8080), ("db:1", "db", 1)],
)
def test_targets_are_read(text: str, host: str, port: int) -> None:
    assert host_and_port(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:0", "host:65536", "host:80x", "::1:80", "host:-1", "host:１"]
)
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        host_and_port(text)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_survives_being_written_and_read(address: object, port: int) -> None:
    assert host_and_port(f"{bracketed(str(address))}:{port}") == (str(address), port)
