"""A backend in memory, whose instances and troubles a test decides."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy

import msgspec

from homeport import abilities
from homeport.errors import BackendUnavailable, Conflict, HomeportError, InvalidValue, LeaseLost, Refused, Unsupported
from homeport.model import CheckState, HealthCheck, Instance, Service, Status, TTLCheck, worst_status
from homeport.spi import CheckTransition, Cursor, Lease, Observed, ServiceSummary, check_label

DATACENTER = "dc1"
_CONFIRM_INTERVAL = 50.0


class _Report(msgspec.Struct, frozen=True):
    status: Status
    output: str
    expires_at: float | None


class _Registered(msgspec.Struct):
    """A registration: what was registered by whom, until when, and what was reported about its checks."""

    service: Service
    incarnation: str
    ttl: float | None
    expires_at: float | None
    reports: dict[str, _Report]

    def instance(self) -> Instance:
        """It as others see it."""
        service = self.service
        checks = tuple(self._state(check, place) for place, check in enumerate(service.checks))
        return Instance(
            id=service.id,
            service=service.name,
            address=service.address or "127.0.0.1",
            port=service.port,
            tags=service.tags,
            meta=service.meta,
            weight=service.weight,
            status=worst_status(check.status for check in checks),
            checks=checks,
            version=service.version or service.meta.get("version", ""),
            environment=service.environment or service.meta.get("environment", ""),
            datacenter=DATACENTER,
            region=service.meta.get("region", ""),
            zone=service.meta.get("zone", ""),
            started_at=service.meta.get("started_at", ""),
        )

    def next_change(self, now: float) -> float | None:
        """When it changes by itself."""
        times = [self.expires_at, *(report.expires_at for report in self.reports.values())]
        return min((at for at in times if at is not None and at > now), default=None)

    def _state(self, check: HealthCheck, place: int) -> CheckState:
        report = self.reports[_check_id(check, place)]
        return CheckState(
            id=_check_id(check, place),
            name=check_label(check, place),
            status=report.status,
            output=report.output,
            notes=check.notes,
            kind=type(check).__name__.removesuffix("Check").lower(),
        )


class _Watching:
    """A watch under way: what wakes it, in which loop, and the trouble that it has not failed with yet."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.trouble: HomeportError | None = None


class Memory:
    """Services in memory: a whole backend (finding, registering, health) without a network, for tests.

    >>> async def main() -> None:
    ...     memory = Memory(billing=["10.0.0.1:80", "10.0.0.2:80"])
    ...     async with Discovery(memory) as discovery:
    ...         instance = await discovery.resolve("billing")
    ...         with memory.outage():
    ...             again = await discovery.resolve("billing")  # from what is known

    Instances are given as ``"HOST:PORT"`` or as `Instance`; names that are no Python names go into the first argument:
    ``Memory({"user-service": ["10.0.0.1:80"]})``. It behaves as the laws of `homeport.spi` demand: registrations are
    gone when their lease ran out, a wipe is told as a reset, and watches fail in an outage. Health checks are not run:
    a `TTLCheck` is critical until somebody reports and when nobody does in time, every other check passes until
    something else is reported.

    All methods may be called from any thread; watches in every event loop notice. ``latency`` (seconds) holds back
    every answer. ``clock`` counts the age of leases.
    """

    def __init__(
        self,
        services: Mapping[str, Iterable[str | Instance]] | None = None,
        /,
        *,
        latency: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        **more_services: Iterable[str | Instance],
    ) -> None:
        self.latency = latency
        self._clock = clock
        self._lock = threading.RLock()
        self._store = secrets.token_hex(6)
        self._position = 0
        self._moved: dict[str, int] = {}
        self._put: dict[str, tuple[Instance, ...]] = {}
        self._registered: dict[str, _Registered] = {}
        self._troubles: list[HomeportError] = []
        self._waiting: set[_Watching] = set()
        for name, instances in {**(services or {}), **more_services}.items():
            self.put(name, *instances)

    def __repr__(self) -> str:
        return f"<Memory of {len(self._names())} services>"

    @property
    def url(self) -> str:
        """What stands for it in texts for people."""
        return "memory://"

    @property
    def watch_limit(self) -> int | None:
        """Any number of watches."""
        return None

    # what a test decides

    def put(self, service: str, *instances: str | Instance) -> None:
        """Replace the instances of a service that are not registered by a program; none removes them all.

        Raises:
            InvalidValue: a text is not of the form HOST:PORT.
        """
        made = tuple(one if isinstance(one, Instance) else _instance(service, one) for one in instances)
        with self._lock:
            self._put[service] = made
            self._move(service)

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Within this block nobody answers: everything raises BackendUnavailable, as `failing` with it does."""
        with self.failing(BackendUnavailable(f"nobody answers at {self.url}: an outage", backend=self.url)):
            yield

    @contextlib.contextmanager
    def failing(self, error: HomeportError) -> Iterator[None]:
        """Within this block everything raises this error; watches under way fail with it, however short it is."""
        with self._lock:
            self._troubles.append(error)
            for watching in self._waiting:
                watching.trouble = error
            self._wake()
        try:
            yield
        finally:
            with self._lock:
                self._troubles.remove(error)
                self._wake()

    def wipe(self) -> None:
        """Lose everything, as a registry whose data were removed: watches see a reset."""
        with self._lock:
            self._store = secrets.token_hex(6)
            self._position = 1
            self._moved.clear()
            self._put.clear()
            self._registered.clear()
            self._wake()

    # Backend

    async def ping(self) -> Mapping[str, str]:
        """What this is, and the identity of its data."""
        await self._request()
        return {"product": "memory", "store": self._store, "datacenter": DATACENTER}

    async def aclose(self) -> None:
        """Nothing is held; the contents stay."""

    # Discoverer

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now."""
        await self._request(datacenter)
        return self._observed(service, None)

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service`` until it fails or is closed."""
        watching = _Watching()
        with self._lock:
            self._waiting.add(watching)
        try:
            await self._request(datacenter)
            # Also with `after` and without news: until then nobody knows that this one answers again.
            observed = self._observed(service, after)
            yield observed
            while True:
                await self._wait(watching, service, observed.cursor)
                await self._request(datacenter)
                observed = self._observed(service, observed.cursor)
                yield observed
        finally:
            with self._lock:
                self._waiting.discard(watching)

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services that have instances, by name."""
        await self._request(datacenter)
        with self._lock:
            found = {name: self._observed(name, None).instances for name in self._names()}
        return [
            ServiceSummary(
                name=name,
                tags=tuple(sorted({tag for one in instances for tag in one.tags})),
                instances=len(instances),
                passing=sum(one.healthy for one in instances),
            )
            for name, instances in sorted(found.items())
            if instances
        ]

    # Registrar

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Create or replace the registration ``service.id``; it is gone when its lease ran out."""
        await self._request()
        with self._lock:
            now = self._clock()
            self._drop_expired(now)
            known = self._registered.get(service.id)
            reports = {} if known is None else known.reports
            self._registered[service.id] = _Registered(
                service=service,
                incarnation=incarnation,
                ttl=ttl,
                expires_at=None if ttl is None else now + ttl,
                reports={
                    _check_id(check, place): reports.get(_check_id(check, place)) or _first_report(check, now)
                    for place, check in enumerate(service.checks)
                },
            )
            for name in {service.name, service.name if known is None else known.service.name}:
                self._move(name)
        return Lease(service=service.name, id=service.id, incarnation=incarnation, ttl=ttl)

    async def renew(self, lease: Lease) -> None:
        """Keep a registration alive for another ``ttl`` seconds."""
        await self._request()
        with self._lock:
            now = self._clock()
            self._drop_expired(now)
            found = self._registered.get(lease.id)
            if found is None:
                raise LeaseLost(f'the registration "{lease.id}" is not in memory any more', backend=self.url)
            if found.incarnation != lease.incarnation:
                raise Conflict(
                    f'"{lease.id}" was registered anew by another program; this registration is over', backend=self.url
                )
            if found.ttl is not None:
                found.expires_at = now + found.ttl
                self._wake()

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        """Remove a registration, if it is of that incarnation."""
        await self._request()
        with self._lock:
            self._drop_expired(self._clock())
            found = self._registered.get(service_id)
            if found is None or incarnation not in (None, found.incarnation):
                return False
            del self._registered[service_id]
            self._move(found.service.name)
            return True

    async def advertised_address(self) -> str:
        """It runs here."""
        await self._request()
        return "127.0.0.1"

    # HealthReporter

    async def report(self, instance_id: str, check: str, status: Status, *, output: str = "") -> None:
        """Set the status of any check of a registration, by id or name; "" is the only one of the instance.

        Raises:
            Refused: there is no such check.
            Unsupported: the status is ``maintenance``, which is no result of a check.
        """
        if status == "maintenance":
            raise Unsupported(
                "a check cannot report maintenance", backend=self.url, instead="report passing, warning or critical"
            )
        await self._request()
        with self._lock:
            now = self._clock()
            registered, found, place = self._find_check(instance_id, check, now)
            expires_at = now + found.ttl if isinstance(found, TTLCheck) else None
            registered.reports[_check_id(found, place)] = _Report(status, output, expires_at)
            self._move(registered.service.name)

    async def run_check(self, instance_id: str, check: str) -> CheckState:
        """Not offered.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(
            f'the check "{check}" of "{instance_id}" cannot be run: a Memory runs none',
            backend=self.url,
            instead="report its status",
            able=abilities.RUNNING_CHECKS,
        )

    async def history(self, service: str, *, since: float) -> Sequence[CheckTransition]:  # noqa: ARG002 - the protocol's
        """Not offered.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(
            f'there is no history of "{service}": a Memory keeps none', backend=self.url, able=abilities.HISTORY
        )

    async def checks(self, *, status: Status | None = None) -> Sequence[tuple[str, str, CheckState]]:
        """Every check of every instance, or only those of one status."""
        await self._request()
        with self._lock:
            instances = [one for name in self._names() for one in self._observed(name, None).instances]
        return [
            (one.service, one.id, check) for one in instances for check in one.checks if status in (None, check.status)
        ]

    # inner

    async def _request(self, datacenter: str = "") -> None:
        """What every request goes through: latency and troubles."""
        self._check()
        if self.latency:
            await asyncio.sleep(self.latency)
            self._check()
        if datacenter not in ("", DATACENTER):
            raise Refused(f'{self.url} has the datacenter "{DATACENTER}" only, not "{datacenter}"', backend=self.url)

    def _check(self) -> None:
        with self._lock:
            if self._troubles:
                raise copy(self._troubles[-1])

    async def _wait(self, watching: _Watching, service: str, known: Cursor) -> None:
        """Return when there is news, or when it is time to confirm that there is none."""
        confirm_at = asyncio.get_running_loop().time() + _CONFIRM_INTERVAL
        while True:
            watching.changed.clear()
            with self._lock:
                if watching.trouble is not None:
                    raise copy(watching.trouble)
                if self._has_news(service, known):
                    return
                pause = self._until_expiry(service)
            remaining = confirm_at - asyncio.get_running_loop().time()
            if remaining <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining if pause is None else min(pause, remaining)):
                    await watching.changed.wait()

    def _has_news(self, service: str, known: Cursor) -> bool:
        with self._lock:
            self._drop_expired(self._clock())
            return (
                known.store != self._store
                or known.position > self._position
                or self._moved.get(service, 0) > known.position
            )

    def _until_expiry(self, service: str) -> float | None:
        """Seconds until a registration of the service changes by itself."""
        now = self._clock()
        own = (one for one in self._registered.values() if one.service.name == service)
        times = [at for one in own if (at := one.next_change(now)) is not None]
        return max(0.0, min(times) - now) if times else None

    def _observed(self, service: str, known: Cursor | None) -> Observed:
        with self._lock:
            self._drop_expired(self._clock())
            cursor = Cursor(position=self._position, store=self._store)
            own = [one.instance() for one in self._registered.values() if one.service.name == service]
            ids = {one.id for one in own}
            instances = (*(one for one in self._put.get(service, ()) if one.id not in ids), *own)
        reset = known is not None and (known.store != cursor.store or known.position > cursor.position)
        return Observed(instances=instances, cursor=cursor, reset=reset)

    def _drop_expired(self, now: float) -> None:
        """Take in what time has done: leases and reports that ran out."""
        for service_id, one in tuple(self._registered.items()):
            if one.expires_at is not None and now >= one.expires_at:
                del self._registered[service_id]
                self._move(one.service.name)
                continue
            for check_id, report in one.reports.items():
                if report.expires_at is not None and now >= report.expires_at:
                    one.reports[check_id] = _Report("critical", "nobody reported in time", None)
                    self._move(one.service.name)

    def _find_check(self, instance_id: str, name: str, now: float) -> tuple[_Registered, HealthCheck, int]:
        self._drop_expired(now)
        registered = self._registered.get(instance_id)
        checks = () if registered is None else registered.service.checks
        for place, check in enumerate(checks):
            if name in (_check_id(check, place), check_label(check, place)) or (not name and len(checks) == 1):
                assert registered is not None
                return registered, check, place
        own = ", ".join(f'"{check_label(check, place)}"' for place, check in enumerate(checks))
        asked = f'check "{name}"' if name else "single check"
        raise Refused(f'"{instance_id}" has no {asked}; it has {own or "none"}', backend=self.url, status=404)

    def _names(self) -> set[str]:
        with self._lock:
            return {*self._put, *(one.service.name for one in self._registered.values())}

    def _move(self, service: str) -> None:
        self._position += 1
        self._moved[service] = self._position
        self._wake()

    def _wake(self) -> None:
        for watching in self._waiting:
            with contextlib.suppress(RuntimeError):  # a loop that was closed without an end of its watches
                watching.loop.call_soon_threadsafe(watching.changed.set)


def _first_report(check: HealthCheck, now: float) -> _Report:
    if isinstance(check, TTLCheck):
        return _Report(check.status or "critical", "", now + check.ttl if check.status else None)
    return _Report(check.status or "passing", "", None)


def _check_id(check: HealthCheck, place: int) -> str:
    return check.id or check_label(check, place)


def _instance(service: str, endpoint: str) -> Instance:
    host, separator, port = endpoint.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidValue(f'"{endpoint}" is no address of "{service}"; write HOST:PORT, for example 10.0.0.1:80')
    return Instance(id=f"{service}-{endpoint}", service=service, address=host.strip("[]"), port=int(port))
