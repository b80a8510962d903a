"""What the contract suite needs of a real Eureka server."""

import asyncio
from collections.abc import Mapping

from homeport.backends import open_backend
from homeport.model import Service
from homeport.spi import Backend
from homeport.testing import FaultProxy
from homeport.testing.contract import HEALTH, HTTP_GARBAGE, RESTART, ROTATE, ProxiedHarness
from tests.servers.eureka import EurekaServer
from tests.servers.process import wait_until

_NOBODY_RENEWS = 3600
_PATIENCE = 60.0

FORGETFUL = {
    "eureka.server.retention-time-in-m-s-in-delta-queue": "1000",
    "eureka.server.delta-retention-timer-interval-in-ms": "100",
}
"""Settings of a server that remembers changes for a second."""


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class EurekaHarness(ProxiedHarness):
    """A Eureka server behind a proxy. What is arranged aside are registrations as other clients make them."""

    garbage: Mapping[str, bytes] = {
        **HTTP_GARBAGE,
        "no applications": _ok(b'{"applications":{}}'),
        "one level short": _ok(b'{"application":[]}'),
        "applications that are none": _ok(
            b'{"applications":{"versions__delta":"1","apps__hashcode":"","application":[1]}}'
        ),
        "not ready": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "a page for a login": b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
    }
    wipes = True
    compacts = True
    ttl = 2.0
    system = "Spring Cloud Netflix Eureka"
    cannot: Mapping[str, str] = {
        HEALTH: "It runs no checks and takes no reports; a status and a lease are all the health that it knows.",
        RESTART: "It keeps everything in memory, so that each restart loses all.",
        ROTATE: "It takes another password only when it starts, and a start loses all.",
    }
    parameters = "timeout=10s&connect_timeout=10s&poll_interval=0.1"

    def __init__(self, eureka: EurekaServer, proxy: FaultProxy) -> None:
        super().__init__(eureka.address, proxy)
        self.eureka = eureka

    def connect(self, address: str) -> Backend:
        return open_backend(f"eureka://{address}/eureka?{self.parameters}", {})

    async def write(self, service: Service) -> None:
        await asyncio.to_thread(
            self.eureka.register,
            service.name,
            service.id,
            host=service.address,
            port=service.port,
            duration=_NOBODY_RENEWS,
            metadata={
                "version": service.version,
                "environment": service.environment,
                "tags": ",".join(service.tags),
                **service.meta,
            },
        )

    async def remove(self, service: Service) -> None:
        await asyncio.to_thread(self.eureka.cancel, service.name, service.id)

    async def listed(self, service: str) -> list[str]:
        apps = await asyncio.to_thread(self.eureka.apps)
        return sorted(apps.get(service.upper(), {}))

    async def compact(self) -> None:
        await asyncio.to_thread(wait_until, self._has_forgotten, timeout=_PATIENCE, what="an empty delta")

    def _has_forgotten(self) -> bool:
        return not self.eureka.request("GET", "/apps/delta")["applications"]["application"]

    async def wipe(self) -> None:
        await asyncio.to_thread(self.eureka.kill)
        await asyncio.to_thread(self.eureka.start)
