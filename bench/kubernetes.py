"""What one changed endpoint of a large service in Kubernetes costs the program that follows it."""

import http.client
import json
import multiprocessing
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import uvloop

from homeport import Discovery
from tests.servers.kubernetes import ApiServer
from tests.servers.kubernetes.choice import choose

from .results import Table, ratio_row
from .rounds import Spread, alternate, number, percentile, ratios
from .systems import resident_bytes

SIZES, SLICE = (1_000, 10_000), 100
CHANGES, PAUSE = 40, 0.05
SERVICE = "web"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
PATIENCE = 60.0
MOST_ADDED_MS = 5.0


class Followed(msgspec.Struct, frozen=True):
    """Following one service through its changes, in seconds and bytes."""

    first: float
    delays: list[float]
    processor: float
    memory: int


Report: TypeAlias = Callable[[object], None]
Follower: TypeAlias = Callable[[str, str, int, Report], Coroutine[Any, Any, None]]


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """Both clients on a service of each size, alternating."""
    chosen = choose(os.environ)
    followed: dict[int, dict[str, list[Followed]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-kubernetes-") as folder:
        server = chosen.server(Path(folder))
        try:
            server.start()
            for size in SIZES:
                writer = Writer(server, size)
                clients = {"Homeport": _homeport, "kubernetes_asyncio": _kubernetes_asyncio}
                followed[size] = alternate({name: writer.follow(client) for name, client in clients.items()}, rounds)
        finally:
            server.close()
    rows = [row for size in SIZES for row in _rows(size, followed[size])]
    text = (
        f"A service in slices of {SLICE} endpoints without Pods; one endpoint changes its address, {CHANGES} times a "
        f"round, each change after the one before was seen. Both clients keep the complete list of instances, in a "
        f"process of their own; the delay is from sending the change to the API server until that list is there. "
        f"On {chosen}."
    )
    return [Table("A large service in Kubernetes", text, [*rows, _growth(followed)], HEADER)]


HEADER = ("what", "Homeport", "kubernetes_asyncio", "ratio", "target")


def _rows(size: int, followed: dict[str, list[Followed]]) -> Iterator[list[str]]:
    ours, theirs = followed["Homeport"], followed["kubernetes_asyncio"]
    figures: dict[str, Callable[[Followed], float]] = {
        "first list, ms": lambda taken: taken.first * 1e3,
        "processor per change, ms": lambda taken: taken.processor / CHANGES * 1e3,
        "delay p50, ms": lambda taken: percentile(taken.delays, 0.50) * 1e3,
        "delay p99, ms": lambda taken: percentile(taken.delays, 0.99) * 1e3,
        "resident memory, MiB": lambda taken: taken.memory / 2**20,
    }
    for what, figure in figures.items():
        our, their = [figure(taken) for taken in ours], [figure(taken) for taken in theirs]
        added = Spread.of([mine - other for mine, other in zip(our, their, strict=True)]).median
        target = f"≤ {MOST_ADDED_MS:g} ms more" if what.startswith("delay") else ""
        met = added <= MOST_ADDED_MS if target else None
        title = f"{number(size, 5)} endpoints: {what}"
        yield ratio_row(title, Spread.of(our), Spread.of(their), ratios(our, their), target=target, met=met)


def _growth(followed: dict[int, dict[str, list[Followed]]]) -> list[str]:
    small, large = SIZES
    processor = attrgetter("processor")
    grown = {
        name: ratios([processor(taken) for taken in followed[large][name]], [processor(taken) for taken in measured])
        for name, measured in followed[small].items()
    }
    cells = [f"{spread.text()}×" for spread in grown.values()]
    return [f"processor per change, {number(large, 5)} beside {number(small, 5)}", *cells, "", "near 1×"]


class Writer:
    """A service of a size in a namespace of its own, and the changes of its endpoints."""

    def __init__(self, server: ApiServer, size: int) -> None:
        self._server = server
        self._size = size
        self._namespace = f"bench-{size}"
        self._changes = 0
        server.request("POST", "/api/v1/namespaces", {"metadata": {"name": self._namespace}})
        body = {"metadata": {"name": SERVICE}, "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}}
        server.request("POST", f"/api/v1/namespaces/{self._namespace}/services", body)
        for position in range(size // SLICE):
            server.request("POST", SLICES.format(self._namespace), self._slice(position))

    def follow(self, client: Follower) -> Callable[[], Followed]:
        """One round: the client in a process of its own follows all changes."""

        def run() -> Followed:
            context = multiprocessing.get_context("spawn")
            here, there = context.Pipe()
            arguments = (client, str(self._server.kubeconfig), self._namespace, self._size, there)
            process = context.Process(target=_process, args=arguments)
            process.start()
            there.close()
            try:
                return self._run(here)
            finally:
                process.join(PATIENCE)

        return run

    def _run(self, pipe: Pipe) -> Followed:
        first = _next(pipe)
        delays = []
        with self._connection() as put:
            for _ in range(CHANGES):
                time.sleep(PAUSE)
                self._changes += 1
                position = self._changes * 7 % (self._size // SLICE)
                body = json.dumps(self._slice(position, changed=self._changes))
                sent = time.perf_counter()
                put(f"{SLICES.format(self._namespace)}/{SERVICE}-{position}", body)
                delays.append(_next(pipe) - sent)
        processor, memory = _next(pipe), _next(pipe)
        last = _next(pipe)
        if last != _address(self._changes):
            raise RuntimeError(f"the last change was seen as {last}")
        return Followed(first=first, delays=delays, processor=processor, memory=memory)

    def _slice(self, position: int, *, changed: int = 0) -> dict[str, object]:
        addresses = [f"10.{1 + position // 250}.{position % 250}.{number_ + 1}" for number_ in range(SLICE)]
        if changed:
            addresses[changed % SLICE] = _address(changed)
        return {
            "metadata": {"name": f"{SERVICE}-{position}", "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [address], "conditions": {"ready": True}, "nodeName": f"node-{number_}"}
                for number_, address in enumerate(addresses)
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }

    @contextmanager
    def _connection(self) -> Iterator[Callable[[str, str], None]]:
        trust = ssl.create_default_context(cafile=str(self._server.authority.certificate))
        host, _, port = self._server.address.partition(":")
        connection = http.client.HTTPSConnection(host, int(port), context=trust, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {self._server.admin_token}", "Content-Type": "application/json"}

        def put(path: str, body: str) -> None:
            connection.request("PUT", path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status} {answer[:200]!r}")

        try:
            connection.connect()
            yield put
        finally:
            connection.close()


def _address(change: int) -> str:
    return f"10.200.{change // 250}.{change % 250 + 1}"


def _next(pipe: Pipe) -> Any:
    if not pipe.poll(PATIENCE):
        raise TimeoutError(f"a client reported nothing for {PATIENCE:g} s")
    return pipe.recv()


def _process(client: Follower, kubeconfig: str, namespace: str, size: int, pipe: Pipe) -> None:
    uvloop.run(client(kubeconfig, namespace, size, pipe.send))
    pipe.close()


class Account:
    """What a client reports of itself: the first list, each change, and what all of it took."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._began = time.perf_counter()
        self._processor = 0.0
        self._seen = -1

    def seen(self) -> bool:
        """The complete list is there, or there anew; whether that was the last change."""
        now = time.perf_counter()
        self._seen += 1
        if self._seen == 0:
            self._report(now - self._began)
            self._processor = time.process_time()
        else:
            self._report(now)
        return self._seen == CHANGES

    def close(self, last: str) -> None:
        """Report the costs, and the address that the last change wrote."""
        self._report(time.process_time() - self._processor)
        self._report(resident_bytes(os.getpid()))
        self._report(last)


async def _homeport(kubeconfig: str, namespace: str, size: int, report: Report) -> None:
    import homeport.backends.kubernetes  # noqa: F401  (loaded before the clock runs, as the other client is)

    account = Account(report)
    url = f"kubernetes:///{namespace}?kubeconfig={kubeconfig}"
    async with Discovery(url) as discovery, discovery.watch(SERVICE) as watch:
        instances = watch.current.instances
        before = {instance.address for instance in instances}
        account.seen()
        async for snapshot in watch:
            # States that only confirm what is known, or tell that it is not confirmed, are no change.
            if snapshot.stale or snapshot.instances == instances:
                continue
            instances = snapshot.instances
            if account.seen():
                break
    _check(len(instances), size)
    account.close(_newest({instance.address for instance in instances} - before))


async def _kubernetes_asyncio(kubeconfig: str, namespace: str, size: int, report: Report) -> None:
    """The least that does the same: it ends with the first failure, and with the watch."""
    from kubernetes_asyncio import client, config, watch

    account = Account(report)
    await config.load_kube_config(config_file=kubeconfig)
    chosen = f"kubernetes.io/service-name={SERVICE}"
    async with client.ApiClient() as api, watch.Watch() as watching:
        discovery = client.DiscoveryV1Api(api)
        found = await discovery.list_namespaced_endpoint_slice(namespace, label_selector=chosen)
        slices = {item.metadata.name: _instances(item) for item in found.items}
        instances = [instance for one in slices.values() for instance in one]
        before = {address for address, _, _ in instances}
        account.seen()
        since = found.metadata.resource_version
        listing = discovery.list_namespaced_endpoint_slice
        async for event in watching.stream(listing, namespace, label_selector=chosen, resource_version=since):
            item = event["object"]
            if event["type"] == "DELETED":
                slices.pop(item.metadata.name, None)
            else:
                slices[item.metadata.name] = _instances(item)
            instances = [instance for one in slices.values() for instance in one]
            if account.seen():
                break
    _check(len(instances), size)
    account.close(_newest({address for address, _, _ in instances} - before))


def _instances(item: Any) -> list[tuple[str, int, bool]]:
    return [
        (address, port.port, endpoint.conditions.ready is not False)
        for endpoint in item.endpoints or []
        for address in endpoint.addresses
        for port in item.ports or []
    ]


def _check(found: int, size: int) -> None:
    if found != size:
        raise RuntimeError(f"{found} instances of {size}")


def _newest(addresses: set[str]) -> str:
    return max(addresses, key=lambda address: [int(part) for part in address.split(".")])
