"""gRPC checks against a real gRPC server with the real health service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from homeport.connections.tls import TLS
from homeport.registry.health import HealthSettings
from tests.integration.client.certificates import Authority
from tests.integration.health.answering import plain, serving
from tests.integration.health.engine import FAST, real

STATUS = health_pb2.HealthCheckResponse


@asynccontextmanager
async def grpc_server(
    statuses: dict[str, int], credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[int]:
    """A gRPC server that reports these statuses; its port."""
    server = grpc.aio.server()
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    for service, status in statuses.items():
        await health.set(service, status)
    port = (
        server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    )
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def ask(target: str, settings: HealthSettings = FAST, **definition: Any) -> tuple[str, str]:
    lookup = definition.pop("lookup", None)
    async with real(settings, lookup=lookup) as engine:
        return await engine.result(engine.check("g", kind="grpc", grpc=target, interval=3600.0, **definition))


async def test_the_servers_own_word_decides() -> None:
    statuses = {"": STATUS.SERVING, "pkg.Up": STATUS.SERVING, "pkg.Down": STATUS.NOT_SERVING, "pkg.Odd": STATUS.UNKNOWN}
    async with grpc_server(statuses) as port:
        at = f"127.0.0.1:{port}"
        assert await ask(at) == ("passing", f"gRPC check {at}: success")
        assert await ask(f"{at}/pkg.Up") == ("passing", f"gRPC check {at}/pkg.Up: success")
        assert await ask(f"{at}/pkg.Down") == ("critical", f"gRPC check {at}/pkg.Down: NOT_SERVING")
        assert await ask(f"{at}/pkg.Odd") == ("critical", f"gRPC check {at}/pkg.Odd: UNKNOWN")
        status, output = await ask(f"{at}/pkg.None")
        assert status == "critical"
        assert output.startswith(f"gRPC check {at}/pkg.None: NOT_FOUND")


async def test_a_change_is_seen_by_the_next_probe() -> None:
    async with real() as engine:
        async with grpc_server({"": STATUS.SERVING}) as port:
            check = engine.check("g", kind="grpc", grpc=f"127.0.0.1:{port}", interval=3600.0)
            assert (await engine.result(check))[0] == "passing"
        view = await engine.health.run_now("g")
        assert view.status == "critical"
        assert "UNAVAILABLE" in view.output


async def test_a_server_without_the_health_service_is_critical() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    status, output = await ask(f"127.0.0.1:{port}")
    await server.stop(None)
    assert (status, output.split(": ")[1]) == ("critical", "UNIMPLEMENTED")


async def test_what_does_not_speak_grpc_is_critical() -> None:
    async with serving(plain()) as served:
        assert (await ask(f"127.0.0.1:{served.port}"))[0] == "critical"


async def test_a_server_that_says_nothing_ends_with_the_timeout() -> None:
    async with serving(b"", stays_open=True) as served:
        target = f"127.0.0.1:{served.port}"
        assert await ask(target, timeout=0.3) == ("critical", f"gRPC check {target}: timed out after 300ms")


async def test_names_are_looked_up_by_us() -> None:
    async with grpc_server({"": STATUS.SERVING}) as port:
        assert (await ask(f"orders.example:{port}", lookup=lambda _: ["127.0.0.1"]))[0] == "passing"


@pytest.mark.parametrize("target", ["localhost", "::1:80", "h:x/pkg"])
async def test_what_is_no_target_is_critical(target: str) -> None:
    assert (await ask(target))[0] == "critical"


def credentials(authority: Authority, *, asks_for_client: bool = False) -> grpc.ServerCredentials:
    certificate, key = authority.issue("orders.local")
    pair = (key.read_bytes(), certificate.read_bytes())
    if asks_for_client:
        return grpc.ssl_server_credentials([pair], authority.certificate.read_bytes(), require_client_auth=True)
    return grpc.ssl_server_credentials([pair])


async def test_tls_is_spoken_and_verified_as_asked(authority: Authority) -> None:
    trusting = HealthSettings(tls=TLS(ca_file=str(authority.certificate)))
    async with grpc_server({"": STATUS.SERVING, "a": STATUS.NOT_SERVING}, credentials(authority)) as port:
        at = f"127.0.0.1:{port}"
        assert await ask(at, trusting, grpc_use_tls=True) == ("passing", f"gRPC check {at}: success")
        assert await ask(f"{at}/a", trusting, grpc_use_tls=True) == ("critical", f"gRPC check {at}/a: NOT_SERVING")
        assert (await ask(at, trusting, grpc_use_tls=True, tls_server_name="orders.local"))[0] == "passing"
        assert (await ask(at, trusting, grpc_use_tls=True, tls_server_name="other"))[0] == "critical"
        assert (await ask(at, grpc_use_tls=True, tls_skip_verify=True))[0] == "passing"
        status, output = await ask(at, grpc_use_tls=True)
        assert status == "critical"
        assert "the certificate is not accepted" in output
        assert (await ask(at, trusting))[0] == "critical"


async def test_a_client_certificate_is_shown(authority: Authority) -> None:
    certificate, key = authority.issue("homeport")
    ca = str(authority.certificate)
    async with grpc_server({"": STATUS.SERVING}, credentials(authority, asks_for_client=True)) as port:
        ours = HealthSettings(tls=TLS(ca_file=ca, cert_file=str(certificate), key_file=str(key)))
        assert (await ask(f"127.0.0.1:{port}", ours, grpc_use_tls=True))[0] == "passing"
        nobody = HealthSettings(tls=TLS(ca_file=ca))
        status, output = await ask(f"127.0.0.1:{port}", nobody, grpc_use_tls=True)
        assert status == "critical"
        assert "timed out" not in output
