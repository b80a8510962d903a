"""What the contract suite needs of a real etcd."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from homeport.backends import open_backend
from homeport.model import Service
from homeport.spi import Backend
from homeport.testing import FaultProxy
from homeport.testing.contract import HTTP_GARBAGE, ProxiedHarness
from tests.servers.etcd import EtcdServer

_HEADER = b'{"header":{"cluster_id":"7","member_id":"7","raft_term":"2"}}'


def _http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


class EtcdHarness(ProxiedHarness):
    """An etcd behind a proxy. What is arranged aside are keys as document 000 has them, by the plain gateway."""

    garbage: Mapping[str, bytes] = {
        **HTTP_GARBAGE,
        "no revision": _http("200 OK", _HEADER),
        "keys that are no base64": _http(
            "200 OK", b'{"header":{"cluster_id":"7","revision":"9"},"kvs":[{"key":"!","value":"!"}],"count":"1"}'
        ),
        "no leader": _http("503 Service Unavailable", b'{"message":"etcdserver: no leader","code":14}'),
    }
    restarts = True
    wipes = True

    def __init__(self, etcd: EtcdServer, proxy: FaultProxy) -> None:
        super().__init__(etcd.address, proxy)
        self.etcd = etcd

    def connect(self, address: str) -> Backend:
        return open_backend(f"etcd://{address}?timeout=3s&connect_timeout=3s&confirm_interval=1s", {})

    async def write(self, service: Service) -> None:
        value: dict[str, Any] = {
            "id": service.id,
            "name": service.name,
            "address": service.address,
            "port": service.port,
            "metadata": {"version": service.version, "environment": service.environment, **service.meta},
            "start_time": "2026-01-02T03:04:05Z",
            "tags": service.tags,
        }
        await asyncio.to_thread(self.etcd.put, f"/services/{service.name}/{service.id}", json.dumps(value))

    async def remove(self, service: Service) -> None:
        await asyncio.to_thread(self.etcd.delete, f"/services/{service.name}/{service.id}")

    async def listed(self, service: str) -> list[str]:
        prefix = f"/services/{service}/"
        return sorted(key.removeprefix(prefix) for key in await asyncio.to_thread(self.etcd.get, prefix))

    async def restart(self) -> None:
        await asyncio.to_thread(self.etcd.kill)
        await asyncio.to_thread(self.etcd.start)

    async def wipe(self) -> None:
        await asyncio.to_thread(self.etcd.kill)
        await asyncio.to_thread(self.etcd.wipe)
        await asyncio.to_thread(self.etcd.start)
