"""TCP checks against real listeners."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from homeport.connections.tls import TLS
from homeport.registry.health import HealthSettings
from tests.integration.client.certificates import Authority
from tests.integration.health.answering import server_context, serving
from tests.integration.health.engine import FAST, real


async def connect(target: str, settings: HealthSettings = FAST, **definition: Any) -> tuple[str, str]:
    lookup = definition.pop("lookup", None)
    async with real(settings, lookup=lookup) as engine:
        return await engine.result(engine.check("t", kind="tcp", tcp=target, interval=3600.0, **definition))


async def test_a_connection_that_opens_passes() -> None:
    async with serving(b"") as served:
        target = f"127.0.0.1:{served.port}"
        assert await connect(target) == ("passing", f"TCP connect {target}: Success")


async def test_ipv6_in_brackets() -> None:
    try:
        context = serving(b"", host="::1")
        async with context as served:
            assert (await connect(f"[::1]:{served.port}"))[0] == "passing"
    except OSError:
        pytest.skip("this host has no IPv6")


async def test_no_host_is_this_host() -> None:
    async with serving(b"") as served:
        assert (await connect(f":{served.port}"))[0] == "passing"


async def test_a_port_where_nobody_listens_is_critical(unused_tcp_port: int) -> None:
    target = f"127.0.0.1:{unused_tcp_port}"
    assert await connect(target) == ("critical", f"TCP connect {target}: connection refused")


async def test_when_all_addresses_fail_the_first_reason_is_told(unused_tcp_port: int) -> None:
    found = await connect(f"many.example:{unused_tcp_port}", lookup=lambda _: ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    assert found == ("critical", f"TCP connect many.example:{unused_tcp_port}: connection refused")


async def test_an_address_that_does_not_answer_does_not_hold_up_the_next() -> None:
    async with serving(b"") as served:
        port = served.port
        with silent_address("127.0.0.2", port):
            alone = await connect(f"one.example:{port}", lookup=lambda _: ["127.0.0.2"], timeout=0.5)
            assert alone == ("critical", f"TCP connect one.example:{port}: timed out after 500ms")
            found = await connect(f"many.example:{port}", lookup=lambda _: ["127.0.0.2", "127.0.0.1"], timeout=60.0)
            assert found == ("passing", f"TCP connect many.example:{port}: Success")


@contextmanager
def silent_address(host: str, port: int) -> Iterator[None]:
    """A listener whose queue is full: the system neither accepts nor refuses who comes then."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        yield


@pytest.mark.parametrize(
    ("target", "message"),
    [("localhost", "is not host:port"), ("::1:80", "in brackets"), ("h:0", "between 1 and 65535")],
)
async def test_what_is_no_target_is_critical_and_says_so(target: str, message: str) -> None:
    status, output = await connect(target)
    assert status == "critical"
    assert message in output


async def test_tls_is_spoken_and_verified_as_asked(authority: Authority) -> None:
    trusting = HealthSettings(tls=TLS(ca_file=str(authority.certificate)))
    async with serving(b"", tls=server_context(authority, "db.local")) as served:
        target = f"127.0.0.1:{served.port}"
        assert (await connect(target, trusting, tcp_use_tls=True))[0] == "passing"
        assert (await connect(target, trusting, tcp_use_tls=True, tls_server_name="db.local"))[0] == "passing"
        assert (await connect(target, trusting, tcp_use_tls=True, tls_server_name="other"))[0] == "critical"
        assert (await connect(target, tcp_use_tls=True))[0] == "critical"
        assert (await connect(target, tcp_use_tls=True, tls_skip_verify=True))[0] == "passing"


async def test_tls_to_a_server_that_says_nothing_ends_with_the_timeout() -> None:
    async with serving(b"") as served:
        target = f"127.0.0.1:{served.port}"
        found = await connect(target, tcp_use_tls=True, timeout=0.2)
        assert found == ("critical", f"TCP connect {target}: timed out after 200ms")
