"""The systems, each with one instance of one service whose port is changed."""

import http.client
import json
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tests.servers.bind import BindServer
from tests.servers.etcd import EtcdServer
from tests.servers.eureka import EurekaServer
from tests.servers.install import find
from tests.servers.kubernetes.choice import choose

from .. import systems
from . import observers
from .observers import SERVICE, Observer

OURS = "Homeport"
SPACING = 0.07
INTERVAL = 0.1
FILE_INTERVAL, FILE_SPACING = 0.02, 0.15
POLLED_SPACING = 1.6 * INTERVAL
HOST = "10.0.0.1"


class MissingError(Exception):
    """A system is not installed here; the text says so."""


class System(msgspec.Struct, frozen=True):
    """A running system: how a change is made, which returns when it was, how far apart, and who observes.

    ``polled`` is one that its observers ask at intervals. When it is asked is chance, seen from a change.
    """

    write: Callable[[int], float]
    observers: Mapping[str, Observer]
    spacing: float = SPACING
    polled: bool = False
    note: str = ""
    has_target: bool = True


class Writer:
    """Sends changes over one connection, as JSON."""

    def __init__(self, address: str, *, tls: ssl.SSLContext | None = None, token: str = "") -> None:
        self._connection = (
            http.client.HTTPConnection(address) if tls is None else http.client.HTTPSConnection(address, context=tls)
        )
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def send(self, method: str, path: str, body: object) -> float:
        """Send a change; when it was sent."""
        data = json.dumps(body)
        at = time.monotonic()
        self._connection.request(method, path, data, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} was answered with {answer.status}: {text[:300]!r}")
        return at


@contextmanager
def consul() -> Iterator[System]:
    """Consul, as everywhere in these measurements."""
    with systems.consul() as server:
        yield _speaks_consul(server, f"consul://{server.address}", py_consul=True)


@contextmanager
def registry() -> Iterator[System]:
    """Homeport's own registry."""
    with systems.homeport() as server:
        yield _speaks_consul(server, f"homeport://{server.address}", py_consul=False)


def _speaks_consul(server: systems.System, url: str, *, py_consul: bool) -> System:
    writer = Writer(server.address)

    def write(port: int) -> float:
        service = {"ID": "one", "Service": SERVICE, "Address": HOST, "Port": port}
        return writer.send("PUT", "/v1/catalog/register", {"Node": "one", "Address": HOST, "Service": service})

    write(1)
    found: dict[str, Observer] = {
        OURS: partial(observers.homeport, url),
        "curl, blocking query": partial(observers.curl, server.address),
    }
    if py_consul:
        found["py-consul"] = partial(observers.py_consul, server.address)
    return System(write, found)


@contextmanager
def etcd() -> Iterator[System]:
    """One etcd."""
    binary, etcdctl = _binary("etcd"), _binary("etcdctl")
    with tempfile.TemporaryDirectory(prefix="bench-etcd-") as folder:
        server = EtcdServer(binary, Path(folder))
        prefix = f"/services/{SERVICE}/"

        def write(port: int) -> float:
            at = time.monotonic()
            server.put(f"{prefix}one", json.dumps({"id": "one", "name": SERVICE, "address": HOST, "port": port}))
            return at

        try:
            server.start()
            write(1)
            yield System(
                write,
                {
                    OURS: partial(observers.homeport, f"etcd://{server.address}"),
                    "etcdctl watch": partial(observers.etcdctl, str(etcdctl), server.address, prefix),
                },
            )
        finally:
            server.close()


@contextmanager
def eureka() -> Iterator[System]:
    """One Eureka server, which shows changes at once."""
    binary = _binary("eureka")
    with tempfile.TemporaryDirectory(prefix="bench-eureka-") as folder:
        server = EurekaServer(binary, Path(folder))

        def write(port: int) -> float:
            server.register(SERVICE, "one", host=HOST, port=port, duration=3600)
            return time.monotonic()

        try:
            server.start()
            write(1)
            server.request("GET", "/apps/delta")  # py-eureka-client takes a server's first delta for no news
            yield System(
                write,
                {
                    OURS: partial(observers.homeport, f"eureka://{server.address}/eureka?poll_interval={INTERVAL}"),
                    "bare delta": partial(observers.eureka_delta, server.address, INTERVAL),
                    "py-eureka-client": partial(observers.py_eureka, server.url, INTERVAL),
                },
                spacing=POLLED_SPACING,
                polled=True,
                note=f"it only answers, and is asked every {INTERVAL:g} s",
            )
        finally:
            server.close()


@contextmanager
def kubernetes() -> Iterator[System]:
    """An API server of Kubernetes, if a real one is here."""
    chosen = choose(os.environ)
    with tempfile.TemporaryDirectory(prefix="bench-kubernetes-") as folder:
        server = chosen.server(Path(folder))
        try:
            server.start()
            tls = ssl.create_default_context(cafile=str(server.authority.certificate))
            writer = Writer(server.address, tls=tls, token=server.admin_token)
            slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"

            def written(method: str, path: str, port: int) -> float:
                endpoint: dict[str, Any] = {"addresses": [HOST], "hostname": "one", "conditions": {"ready": True}}
                return writer.send(
                    method,
                    path,
                    {
                        "apiVersion": "discovery.k8s.io/v1",
                        "kind": "EndpointSlice",
                        "metadata": {"name": "one", "labels": {"kubernetes.io/service-name": SERVICE}},
                        "addressType": "IPv4",
                        "endpoints": [endpoint],
                        "ports": [{"name": "http", "port": port}],
                    },
                )

            written("POST", slices, 1)
            yield System(
                partial(written, "PUT", f"{slices}/one"),
                {
                    OURS: partial(observers.homeport, f"kubernetes://test/default?kubeconfig={server.kubeconfig}"),
                    "kubernetes_asyncio, watch": partial(observers.kubernetes, str(server.kubeconfig)),
                },
                note=str(chosen),
            )
        finally:
            server.close()


@contextmanager
def dns() -> Iterator[System]:
    """BIND, asked far more often than a TTL of a whole second would have it."""
    binary = _binary("named")
    zone = "bench.test"
    with tempfile.TemporaryDirectory(prefix="bench-dns-") as folder:
        server = BindServer(binary, Path(folder), {zone: [f"one IN A {HOST}", f"{SERVICE} IN SRV 0 0 1 one"]})

        def write(port: int) -> float:
            server.replace(zone, SERVICE, "SRV", f"0 0 {port} one")
            return time.monotonic()

        try:
            server.start()
            asked = f"record=srv&refresh={INTERVAL}&floor={INTERVAL}&negative_floor={INTERVAL}"
            yield System(
                write,
                {
                    OURS: partial(observers.homeport, f"dns://{server.address}/{zone}?{asked}"),
                    "dnspython": partial(observers.dnspython, server.address, zone, INTERVAL),
                },
                spacing=POLLED_SPACING,
                polled=True,
                note=f"asked every {INTERVAL:g} s; in use that is when a TTL has run out, a second at least",
            )
        finally:
            server.close()


@contextmanager
def file() -> Iterator[System]:
    """A static file."""
    with tempfile.TemporaryDirectory(prefix="bench-file-") as folder:
        path = Path(folder, "services.json")

        def write(port: int) -> float:
            new = path.with_suffix(".new")
            new.write_text(json.dumps({"services": {SERVICE: [{"address": HOST, "port": port}]}}))
            at = time.monotonic()
            new.replace(path)
            return at

        write(1)
        yield System(
            write,
            {
                OURS: partial(observers.homeport, f"static://{path}?reload_interval={FILE_INTERVAL}"),
                "a look at the file": partial(observers.file, str(path), FILE_INTERVAL),
            },
            spacing=FILE_SPACING,
            note=f"looked at every {FILE_INTERVAL:g} s; Homeport looks again after 50 ms, lest it believes half a file",
            has_target=False,
        )


SYSTEMS: Mapping[str, Callable[[], AbstractContextManager[System]]] = {
    "Consul": consul,
    "Homeport's registry": registry,
    "etcd": etcd,
    "Eureka": eureka,
    "Kubernetes": kubernetes,
    "DNS": dns,
    "static file": file,
}


def _binary(name: str) -> Path:
    found = find(name, os.environ)
    if found is None:
        raise MissingError(f"it is not installed; run: python -m tests.servers.install {name}")
    return found
