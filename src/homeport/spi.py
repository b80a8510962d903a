"""What a backend is: small protocols, of which it offers what it can.

A backend translates between one system and Homeport's model. It holds no retry, cache, timer, thread or policy:
backoff, resynchronisation, stale marking, fan-out and renewal are written once, in the client. Laws for authors:

* Every method either returns the whole truth or raises; a partial answer is an error.
* Only the exceptions of `homeport.errors` leave a backend, with the native one as ``__cause__``.
* Cancellation is honoured at every await, and leaves no connection, task or file behind.
* No environment and no file is read; settings come in through the constructor.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import msgspec

from .model import CheckState, HealthCheck, Instance, Service, Status


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a watch stands: the backend's own position, and the identity of the data it counts in.

    ``store`` changes when the data were wiped or replaced (empty where a backend has no such identity).
    """

    position: int = 0
    store: str = ""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """The full set of instances of one service at ``cursor``, healthy or not; an empty set is a statement.

    ``reset`` says that this set does not continue the one observed before: the backend counts anew, was wiped or
    restored. ``protected`` says that the registry returned failing instances on purpose (mass-failure protection).
    """

    instances: tuple[Instance, ...]
    cursor: Cursor = Cursor()
    reset: bool = False
    protected: bool = False


class ServiceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of services; the counts are None where a backend would have to read every service to know."""

    name: str
    tags: tuple[str, ...] = ()
    instances: int | None = None
    passing: int | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A live registration: what is needed to renew and to remove it.

    ``incarnation`` is unique to the process and attempt that registered; a removal that names it leaves alone the
    registration of a successor with the same id. ``ttl`` is None when nothing has to be renewed.
    """

    service: str
    id: str
    incarnation: str
    ttl: float | None
    token: str = ""


@runtime_checkable
class Backend(Protocol):
    """What every backend has: a name for people, its URL without credentials, and an end."""

    @property
    def url(self) -> str:
        """The URL without credentials."""
        ...

    async def ping(self) -> Mapping[str, str]:
        """Reach the system once and return facts about it (version, datacenter, …), for people."""
        ...

    async def aclose(self) -> None:
        """Release everything; calling it twice is harmless."""
        ...


@runtime_checkable
class Discoverer(Backend, Protocol):
    """A backend that knows instances."""

    @property
    def watch_limit(self) -> int | None:
        """How many watches the system bears at once from one client, None for any number; others are polled."""
        ...

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now, read from the system itself."""
        ...

    def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service`` until it fails or is closed.

        Yields at once, whatever ``after`` says: so a client learns that what it knows is confirmed again. Then after
        every change, and also, with an unchanged set, whenever the system confirms that nothing did (at least every
        60 s: a silent watch is a dead one). Intermediate states may be skipped, the last one never. Ends only by
        raising. An instance that did not change had better be the same object as before: what a client does after a
        change then costs what changed, not what there is.

        Raises:
            Unsupported: the system cannot be watched; the client then asks by `fetch` again and again.
        """
        ...

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name."""
        ...


class ServiceList(msgspec.Struct, frozen=True, kw_only=True):
    """The names of all services. ``changed`` are those to which something happened since the list before.

    That is a hint: a system that does not tell leaves it empty. A backend with a `watch_limit` should tell: where the
    list is followed, what has no watch is asked for at once when it is named here, and else rarely.
    """

    names: frozenset[str]
    changed: frozenset[str] = frozenset()


@runtime_checkable
class ServiceLister(Backend, Protocol):
    """A backend that tells when services come and go."""

    def watch_services(self, *, datacenter: str = "") -> AsyncGenerator[ServiceList, None]:
        """List the services until that fails or is closed.

        Yields at once, then after every change of the list, and with the same list at least every 60 s. Intermediate
        states may be skipped, the last one never. Ends only by raising.

        Raises:
            Unsupported: the list cannot be followed here; `Discoverer.services` tells it.
        """
        ...


@runtime_checkable
class Registrar(Backend, Protocol):
    """A backend that takes registrations."""

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Create or replace the registration ``service.id`` together with a lease of ``ttl`` seconds (None: without).

        The lease counts as renewed now. An existing registration of that id is replaced in one step.
        """
        ...

    async def renew(self, lease: Lease) -> None:
        """Keep a registration alive for another ``lease.ttl`` seconds.

        Raises:
            LeaseLost: it is not there any more and has to be made again.
            Conflict: the id belongs to another incarnation now, to which it must be left.
        """
        ...

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        """Remove a registration; False when there was none, or it belongs to another incarnation."""
        ...

    async def advertised_address(self) -> str:
        """The address of this host from which the system is reached; ``127.0.0.1`` when the system runs here."""
        ...


class CheckTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the status of a check, at a Unix time."""

    instance: str
    check: str
    at: float
    status: Status
    output: str = ""


@runtime_checkable
class HealthReporter(Backend, Protocol):
    """A backend whose checks can be asked and set."""

    async def report(self, instance_id: str, check: str, status: Status, *, output: str = "") -> None:
        """Set the status of the check with that id or name; only a TTL check can be set from outside."""
        ...

    async def run_check(self, instance_id: str, check: str) -> CheckState:
        """Run one check now and return its new state."""
        ...

    async def history(self, service: str, *, since: float) -> Sequence[CheckTransition]:
        """The changes of status of all checks of a service since a Unix time, oldest first."""
        ...

    async def checks(self, *, status: Status | None = None) -> Sequence[tuple[str, str, CheckState]]:
        """Every check as (service, instance id, state), or only those of one status."""
        ...


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A key with its value.

    ``revision`` is above 0, and another one after every write of the key; nothing else can be read from it.
    """

    key: str
    value: bytes = b""
    revision: int


class KeysObserved(msgspec.Struct, frozen=True, kw_only=True):
    """All keys that are watched, by key, at ``cursor``; ``reset`` as in `Observed`."""

    entries: tuple[KeyEntry, ...]
    cursor: Cursor = Cursor()
    reset: bool = False


@runtime_checkable
class KeyValue(Backend, Protocol):
    """A backend that keeps values under keys. What is read has been decided by the system: no stale answers.

    A prefix is plain text, not a folder: ``app`` is one of ``app/a`` and of ``apple``.
    """

    async def read_key(self, key: str) -> KeyEntry | None:
        """A key with its value, None when there is none."""
        ...

    async def list_keys(self, prefix: str) -> Sequence[KeyEntry]:
        """All keys that begin with ``prefix``, by key; "" is all keys."""
        ...

    async def write_key(self, key: str, value: bytes, *, revision: int | None = None) -> None:
        """Write a value: whatever is there, or only if the key is at ``revision`` (0: not there).

        Raises:
            Conflict: it is at another revision; nothing was written.
            Refused: the value is too large, or nothing may be written there.
        """
        ...

    async def delete_key(self, key: str, *, revision: int | None = None) -> None:
        """Remove a key, or only if it is at ``revision``; that it is gone already is no error.

        Raises:
            Conflict: it is at another revision; nothing was removed.
        """
        ...

    def watch_keys(
        self, key: str, *, prefix: bool = False, after: Cursor | None = None
    ) -> AsyncGenerator[KeysObserved, None]:
        """Observe one key, or all that begin with ``key``, as `Discoverer.watch` observes a service."""
        ...


@runtime_checkable
class Observer(Protocol):
    """Who is told what the library does, for metrics and traces. Called from any thread; must be quick and not raise.

    The names and labels are those of `homeport.client.measures`, whose docstring tells what is told when; an observer
    ignores what it does not know, labels too.
    """

    def operation(self, name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:
        """Something that takes time (a registration, a lookup, a call) is done within this block; it may fail."""
        ...

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        """Something happened so many times."""
        ...

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Something has this value now, or none any more (NaN)."""
        ...


def check_label(check: HealthCheck, position: int) -> str:
    """The name a check is known by to people: its own, else its id, else its kind and place."""
    return check.name or check.id or f"{type(check).__name__.removesuffix('Check').lower()} check {position + 1}"
