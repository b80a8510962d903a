"""The section `dns_discovery` of a settings file, on the DNS of a real Consul."""

import asyncio
from pathlib import Path

import pytest

import homeport
from homeport import BackendUnavailable
from tests.servers.consul import ConsulServer
from tests.servers.ports import PortLease

FILE = """
dns_discovery:
  resolution:
    - {pattern: "*.service.consul", resolver: "RESOLVER"}
  caching: {ttl: 10s, negative_ttl: 5s}
  health_awareness: {enabled: true, unhealthy_weight: 0}
"""


async def test_a_pattern_says_who_is_asked(consul: ConsulServer, tmp_path: Path, name: str) -> None:
    instance = {"Service": name, "ID": name, "Port": 8080}
    body = {"Node": name, "Address": "10.0.0.7", "Service": instance}
    await asyncio.to_thread(consul.request, "PUT", "/v1/catalog/register", body)
    file = tmp_path / "homeport.yaml"
    try:
        file.write_text(FILE.replace("RESOLVER", f"127.0.0.1:{consul.dns_port}"), encoding="utf-8")
        async with homeport.configured(file, environ={}, handle_signals=False) as discovery:
            assert [one.endpoint for one in await discovery.discover(name)] == ["10.0.0.7:8080"]
        with PortLease() as nobody:
            file.write_text(FILE.replace("RESOLVER", f"127.0.0.1:{nobody.ports[0]}"), encoding="utf-8")
            async with homeport.configured(file, environ={}, handle_signals=False) as discovery:
                with pytest.raises(BackendUnavailable):
                    await discovery.discover(name)
    finally:
        await asyncio.to_thread(consul.request, "PUT", "/v1/catalog/deregister", {"Node": name})
