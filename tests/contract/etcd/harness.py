"""What the contract suite needs of a real etcd."""

import asyncio
import json
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from homeport.backends import open_backend
from homeport.model import Service
from homeport.spi import Backend
from homeport.testing import FaultProxy
from homeport.testing.contract import HEALTH, HTTP_GARBAGE, ProxiedHarness
from tests.servers.etcd import EtcdServer
from tests.servers.etcdctl import Etcdctl

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
    compacts = True
    cannot: Mapping[str, str] = {
        HEALTH: "It runs no checks and takes no reports; a lease is all the health that it knows."
    }
    parameters = "timeout=10s&connect_timeout=10s&confirm_interval=1s"

    def __init__(self, etcd: EtcdServer, proxy: FaultProxy) -> None:
        super().__init__(etcd.address, proxy)
        self.etcd = etcd

    def connect(self, address: str) -> Backend:
        return open_backend(f"etcd://{address}?{self.parameters}", {})

    async def write(self, service: Service) -> None:
        await asyncio.to_thread(self._put, f"/services/{service.name}/{service.id}", _document(service))

    async def remove(self, service: Service) -> None:
        await asyncio.to_thread(self._delete, f"/services/{service.name}/{service.id}")

    async def listed(self, service: str) -> list[str]:
        prefix = f"/services/{service}/"
        return sorted(key.removeprefix(prefix) for key in await asyncio.to_thread(self._keys, prefix))

    async def restart(self) -> None:
        await asyncio.to_thread(self.etcd.kill)
        await asyncio.to_thread(self.etcd.start)

    async def wipe(self) -> None:
        await asyncio.to_thread(self.etcd.kill)
        await asyncio.to_thread(self.etcd.wipe)
        await asyncio.to_thread(self.etcd.start)

    async def compact(self) -> None:
        revision = await asyncio.to_thread(self.etcd.put, "/compacted", "")
        await asyncio.to_thread(self.etcd.compact, revision)

    def _put(self, key: str, value: str) -> None:
        self.etcd.put(key, value)

    def _delete(self, key: str) -> None:
        self.etcd.delete(key)

    def _keys(self, prefix: str) -> list[str]:
        return list(self.etcd.get(prefix))


class GuardedEtcdHarness(EtcdHarness):
    """An etcd that asks for users, behind a proxy; the backends read their password from a file."""

    ARGUMENTS = ("--bcrypt-cost=4",)
    rotates = True

    def __init__(self, etcd: EtcdServer, proxy: FaultProxy, etcdctl: Path, password_file: Path) -> None:
        super().__init__(etcd, proxy)
        self._file = password_file
        self._binary = etcdctl
        self._ask = Etcdctl(etcdctl, etcd.address, user="root:root")
        self.parameters = f"{self.parameters}&user=app&password_file={password_file}"
        self._password = self._new_password()
        for command in (
            "user add root:root",
            "user grant-role root root",
            f"user add app:{self._password}",
            "role add services",
            "role grant-permission services --prefix=true readwrite /services/",
            "user grant-role app services",
            "auth enable",
        ):
            Etcdctl(etcdctl, etcd.address)(*command.split())

    async def rotate(self) -> None:
        await asyncio.to_thread(self._rotate)

    def _new_password(self) -> str:
        password = secrets.token_hex(8)
        self._file.write_text(password)
        return password

    def _rotate(self) -> None:
        old, self._password = self._password, self._new_password()
        # In one step, since a lease runs out meanwhile; it ends the tokens that were given for the old one, too.
        self._ask("user", "passwd", "app", "--interactive=false", stdin=f"{self._password}\n")
        with pytest.raises(subprocess.CalledProcessError):
            Etcdctl(self._binary, self.etcd.address, user=f"app:{old}")("get", "/services/", "--prefix")

    def _put(self, key: str, value: str) -> None:
        self._ask("put", key, value)

    def _delete(self, key: str) -> None:
        self._ask("del", key)

    def _keys(self, prefix: str) -> list[str]:
        return self._ask("get", prefix, "--prefix", "--keys-only").split()


def _document(service: Service) -> str:
    """An instance as document 000 has it."""
    return json.dumps(
        {
            "id": service.id,
            "name": service.name,
            "address": service.address,
            "port": service.port,
            "metadata": {"version": service.version, "environment": service.environment, **service.meta},
            "start_time": "2026-01-02T03:04:05Z",
            "tags": service.tags,
        }
    )
