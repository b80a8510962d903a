"""What the contract suite needs of Consul and of our own registry, both of them real."""

import asyncio
from collections.abc import Mapping
from typing import Any

from homeport.backends import open_backend
from homeport.model import Service
from homeport.spi import Backend
from homeport.testing import FaultProxy
from homeport.testing.contract import HTTP_GARBAGE, ProxiedHarness
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

Registry = ConsulServer | HomeportServer


class RegistryHarness(ProxiedHarness):
    """A registry behind a proxy. What is arranged and looked up aside goes past the client, by plain HTTP."""

    garbage: Mapping[str, bytes] = {
        **HTTP_GARBAGE,
        "not JSON": b"HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
        "other JSON": b'HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 11\r\n\r\n{"hello":1}',
        "half a body": b'HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 5000\r\n\r\n[{"Node":',
        "no index": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        "strange index": b"HTTP/1.1 200 OK\r\nX-Consul-Index: -3\r\nContent-Length: 2\r\n\r\n[]",
        "an error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 17\r\n\r\nNo cluster leader",
    }
    restarts = True
    wipes = True

    def __init__(self, registry: Registry, proxy: FaultProxy) -> None:
        super().__init__(registry.address, proxy)
        self.registry = registry

    def connect(self, address: str) -> Backend:
        scheme = self.registry.backend_url.partition("://")[0]
        return open_backend(f"{scheme}://{address}?wait=1s&timeout=3s&connect_timeout=3s", {})

    async def write(self, service: Service) -> None:
        meta = {**service.meta, "version": service.version, "environment": service.environment}
        body: dict[str, Any] = {
            "ID": service.id,
            "Name": service.name,
            "Address": service.address,
            "Port": service.port,
            "Tags": service.tags,
            "Meta": {key: value for key, value in meta.items() if value},
        }
        await asyncio.to_thread(self.registry.request, "PUT", "/v1/agent/service/register", body)

    async def remove(self, service: Service) -> None:
        await asyncio.to_thread(self.registry.request, "PUT", f"/v1/agent/service/deregister/{service.id}")

    async def listed(self, service: str) -> list[str]:
        rows = await asyncio.to_thread(self.registry.request, "GET", f"/v1/health/service/{service}")
        return sorted(row["Service"]["ID"] for row in rows)

    async def restart(self) -> None:
        await asyncio.to_thread(self.registry.kill)
        await asyncio.to_thread(self.registry.start)

    async def wipe(self) -> None:
        await asyncio.to_thread(self.registry.kill)
        await asyncio.to_thread(self.registry.wipe)
        await asyncio.to_thread(self.registry.start)
