"""What the contract suite needs of Consul and of our own registry, both of them real."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from homeport.backends import open_backend
from homeport.model import Service
from homeport.spi import Backend
from homeport.testing import FaultProxy
from homeport.testing.contract import COMPACT, HTTP_GARBAGE, ROTATE, ProxiedHarness
from tests.servers.api import call
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
    # Longer than a busy machine halts a process, and yet a few seconds, as half-open connections want it.
    parameters = "wait=1s&timeout=10s&connect_timeout=10s"

    def __init__(self, registry: Registry, proxy: FaultProxy) -> None:
        super().__init__(registry.address, proxy)
        self.registry = registry
        self.cannot = {COMPACT: "It keeps no history to go on from: each answer is the whole set."}
        if isinstance(registry, HomeportServer):
            self.cannot[ROTATE] = "It asks for no credentials yet."

    def connect(self, address: str) -> Backend:
        scheme = self.registry.backend_url.partition("://")[0]
        return open_backend(f"{scheme}://{address}?{self.parameters}", {})

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


class GuardedConsulHarness(RegistryHarness):
    """A Consul that lets nobody do anything without a token, behind a proxy; the backends read theirs from a file."""

    ROOT = "11111111-2222-3333-4444-555555555555"
    CONFIG: Mapping[str, Any] = {
        "primary_datacenter": "dc1",
        "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT, "agent": ROOT}},
    }
    RULES = """
        service_prefix "" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }
    """
    rotates = True

    def __init__(self, consul: ConsulServer, proxy: FaultProxy, token_file: Path) -> None:
        super().__init__(consul, proxy)
        self._file = token_file
        self.parameters = f"{self.parameters}&token_file={token_file}"
        self.registry.request("PUT", "/v1/acl/policy", {"Name": "program", "Rules": self.RULES})
        self._token = self._new_token()

    async def rotate(self) -> None:
        await asyncio.to_thread(self._rotate)

    def _new_token(self) -> dict[str, str]:
        token: dict[str, str] = self.registry.request("PUT", "/v1/acl/token", {"Policies": [{"Name": "program"}]})
        following = self._file.with_suffix(".next")
        following.write_text(token["SecretID"])
        following.replace(self._file)  # as rotation tools do
        return token

    def _rotate(self) -> None:
        old, self._token = self._token, self._new_token()
        self.registry.request("DELETE", f"/v1/acl/token/{old['AccessorID']}")
        with pytest.raises(HTTPError, match="403"):
            call(self.registry.url, "GET", "/v1/agent/self", token=old["SecretID"])
