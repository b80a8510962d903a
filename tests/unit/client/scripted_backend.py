"""A backend in memory whose troubles a test decides. It obeys the laws of `homeport.spi`."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from copy import copy
from typing import Any

from homeport.errors import BackendUnavailable, Conflict, HomeportError, LeaseLost
from homeport.model import Instance, Service
from homeport.spi import Cursor, Lease, Observed, ServiceSummary

CONFIRM_INTERVAL = 55.0


def instance(name: str, service: str = "billing", **fields: Any) -> Instance:
    """An instance with an address made of its id."""
    number = sum(name.encode()) % 250 + 1
    given: dict[str, Any] = {"address": f"10.0.0.{number}", "port": 80, "node": "n", **fields}
    return Instance(id=name, service=service, **given)


class ScriptedBackend:
    """Holds instances by service. `fail` makes every request fail, also those under way; `recover` ends that."""

    def __init__(self, *, watch_limit: int | None = None) -> None:
        self.url = "scripted://"
        self.watch_limit = watch_limit
        self.instances: dict[str, tuple[Instance, ...]] = {}
        self.position = 1
        self.store = "one"
        self.latency = 0.0
        self.closed = False
        self.asked: Counter[str] = Counter()
        self.watching: Counter[str] = Counter()
        self.most_watching = 0
        self.registered: dict[str, tuple[Service, str]] = {}
        self.address = "10.9.9.9"
        self._trouble: HomeportError | Exception | None = None
        self._changed = asyncio.Event()

    def put(self, service: str, *instances: Instance) -> None:
        """Replace the instances of a service."""
        self.instances[service] = instances
        self._move()

    def wipe(self, store: str) -> None:
        """Lose everything; the index begins anew."""
        self.instances.clear()
        self.registered.clear()
        self.store = store
        self.position = 0
        self._move()

    def fail(self, trouble: HomeportError | Exception | None = None) -> None:
        """Fail every request from now on."""
        self._trouble = trouble or BackendUnavailable("no registry answers at scripted://.", backend=self.url)
        self._wake()

    def recover(self) -> None:
        """Answer again."""
        self._trouble = None
        self._wake()

    async def ping(self) -> Mapping[str, str]:
        await self._request("ping")
        return {"product": "scripted"}

    async def aclose(self) -> None:
        self.closed = True

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        await self._request(f"fetch {service}")
        return self._observed(service, None)

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        self.watching[service] += 1
        self.most_watching = max(self.most_watching, self.watching.total())
        try:
            await self._request(f"watch {service}")
            observed = self._observed(service, after)
            yield observed
            while True:
                await self._until_news(service, observed)
                observed = self._observed(service, observed.cursor)
                yield observed
        finally:
            self.watching[service] -= 1

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        await self._request("services")
        return [ServiceSummary(name=name) for name in sorted(self.instances)]

    async def register(self, service: Service, *, ttl: float, incarnation: str) -> Lease:
        await self._request(f"register {service.id}")
        self.registered[service.id] = (service, incarnation)
        others = [one for one in self.instances.get(service.name, ()) if one.id != service.id]
        own = instance(
            service.id,
            service.name,
            address=service.address,
            port=service.port,
            tags=service.tags,
            meta=service.meta,
            weight=service.weight,
        )
        self.put(service.name, *others, own)
        return Lease(service=service.name, id=service.id, incarnation=incarnation, ttl=ttl)

    async def renew(self, lease: Lease) -> None:
        await self._request(f"renew {lease.id}")
        found = self.registered.get(lease.id)
        if found is None:
            raise LeaseLost(f"{lease.id} is not registered", backend=self.url)
        if found[1] != lease.incarnation:
            raise Conflict(f"{lease.id} is somebody else's", backend=self.url)

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        await self._request(f"deregister {service_id}")
        found = self.registered.get(service_id)
        if found is None or incarnation not in (None, found[1]):
            return False
        del self.registered[service_id]
        name = found[0].name
        self.put(name, *(one for one in self.instances.get(name, ()) if one.id != service_id))
        return True

    async def advertised_address(self) -> str:
        await self._request("address")
        return self.address

    async def _request(self, what: str) -> None:
        self.asked[what] += 1
        self._check()
        if self.latency:
            await asyncio.sleep(self.latency)
            self._check()

    async def _until_news(self, service: str, observed: Observed) -> None:
        """Return when there is something new, or it is time to confirm that there is not."""
        loop = asyncio.get_running_loop()
        due = loop.time() + CONFIRM_INTERVAL
        while self._observed(service, None).instances == observed.instances and self.store == observed.cursor.store:
            self._check()
            changed = self._changed
            try:
                async with asyncio.timeout_at(due):
                    await changed.wait()
            except TimeoutError:
                return
        self._check()

    def _observed(self, service: str, known: Cursor | None) -> Observed:
        cursor = Cursor(position=self.position, store=self.store)
        reset = known is not None and (known.store != self.store or known.position > self.position)
        return Observed(instances=self.instances.get(service, ()), cursor=cursor, reset=reset)

    def _check(self) -> None:
        if self._trouble is not None:
            raise copy(self._trouble)

    def _move(self) -> None:
        self.position += 1
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
