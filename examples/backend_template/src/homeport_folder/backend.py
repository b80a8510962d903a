"""A folder of JSON files as a backend: ``FOLDER/SERVICE/ID.json``, and ``FOLDER/store``, the identity of its data."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from homeport.errors import BackendUnavailable, Conflict, LeaseLost, Refused, Unsupported
from homeport.model import Instance, Service
from homeport.spi import Cursor, Lease, Observed, ServiceSummary

from .mapping import Record, decode, encode, file_name, instance, name_of
from .settings import FolderSettings

T = TypeVar("T")

CONFIRM_INTERVAL = 30.0


class FolderBackend:
    """A `Discoverer` and `Registrar` over a folder. Of health it knows nothing but the lease."""

    def __init__(self, settings: FolderSettings) -> None:
        self._settings = settings
        self._root = settings.path

    @property
    def url(self) -> str:
        """The URL without credentials."""
        return self._settings.url

    @property
    def watch_limit(self) -> int | None:
        """A watch is a look at one folder now and then: there may be any number."""
        return None

    async def ping(self) -> Mapping[str, str]:
        """Whether the folder can be read, and the identity of its data."""
        return {"product": "folder", "store": await self._run(self._store)}

    async def aclose(self) -> None:
        """Nothing is held between two calls."""

    # Discoverer

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances now."""
        self._only_here(datacenter)
        return await self._run(lambda: self._observe(service, None))

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Look again and again, and tell what is new, or now and then that nothing is."""
        self._only_here(datacenter)
        observed = await self._run(lambda: self._observe(service, after))
        told_at = time.monotonic()
        yield observed
        while True:
            await asyncio.sleep(self._settings.interval)
            known = observed
            observed = await self._run(partial(self._observe, service, known.cursor))
            if observed != known or time.monotonic() >= told_at + CONFIRM_INTERVAL:
                told_at = time.monotonic()
                yield observed

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services that have instances."""
        self._only_here(datacenter)
        return await self._run(self._summaries)

    # Registrar

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Write the file; its new time of modification begins the lease."""
        if service.checks:
            raise Unsupported("a folder runs no health checks; register without any", backend=self.url)
        if not service.id:
            raise Refused(f'"{service.name}" has no id to register it under', backend=self.url)
        await self._run(lambda: self._write(Record(service=service, incarnation=incarnation, ttl=ttl)))
        return Lease(service=service.name, id=service.id, incarnation=incarnation, ttl=ttl)

    async def renew(self, lease: Lease) -> None:
        """Touch the file, if it is still ours."""
        await self._run(lambda: self._renew(lease))

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        """Remove the file, if it is of that incarnation."""
        return await self._run(lambda: self._remove(service_id, incarnation))

    async def advertised_address(self) -> str:
        """Whoever shares the folder is on this host."""
        return "127.0.0.1"

    # on a thread: nothing may block the event loop

    async def _run(self, work: Callable[[], T]) -> T:
        """Do it on a thread. Only errors of Homeport leave a backend, with their cause."""
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise BackendUnavailable(
                f"the folder {self._root} cannot be used ({reason}); make it, or name another one", backend=self.url
            ) from error

    def _only_here(self, datacenter: str) -> None:
        if datacenter:
            raise Unsupported(f'a folder has no datacenters, and so not "{datacenter}"', backend=self.url)

    def _store(self) -> str:
        """The identity of the data: another one after the folder was emptied."""
        place = self._root / "store"
        with contextlib.suppress(FileNotFoundError):
            return place.read_text(encoding="ascii")
        _replace(place, secrets.token_hex(8).encode(), only_new=True)
        return place.read_text(encoding="ascii")

    def _observe(self, service: str, known: Cursor | None) -> Observed:
        """The whole truth, or an error: one file that cannot be read spoils the answer."""
        store = self._store()
        found = sorted((record.service.id, instance(record)) for _, record in self._records(file_name(service)))
        instances = tuple(one for _, one in found)
        if self._store() != store:  # emptied meanwhile
            return self._observe(service, known)
        return Observed(
            instances=instances, cursor=Cursor(store=store), reset=known is not None and known.store not in ("", store)
        )

    def _records(self, folder: str, *, dead: bool = False) -> Iterator[tuple[Path, Record]]:
        for path in (self._root / folder).glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                age = time.time() - path.stat().st_mtime
                record = decode(path.read_bytes(), str(path))
                if dead or record.alive(age):
                    yield path, record

    def _summaries(self) -> list[ServiceSummary]:
        self._store()
        rows = []
        for folder in sorted(self._root.iterdir()):
            instances: list[Instance] = [instance(record) for _, record in self._records(folder.name)]
            if instances:
                tags = tuple(sorted({tag for one in instances for tag in one.tags}))
                number = len(instances)
                rows.append(ServiceSummary(name=name_of(folder.name), tags=tags, instances=number, passing=number))
        return rows

    def _write(self, record: Record) -> None:
        with self._locked():
            place = self._place(record.service)
            for other in self._root.glob(f"*/{place.name}"):
                if other != place:  # the id belonged to another service
                    other.unlink(missing_ok=True)
            place.parent.mkdir(exist_ok=True)
            _replace(place, encode(record))

    def _renew(self, lease: Lease) -> None:
        with self._locked():
            found = self._find(lease.id)
            if found is None:
                raise LeaseLost(f'the registration "{lease.id}" is not in {self._root} any more', backend=self.url)
            path, record = found
            if record.incarnation != lease.incarnation:
                raise Conflict(f'"{lease.id}" was registered anew by another program', backend=self.url)
            os.utime(path)

    def _remove(self, service_id: str, incarnation: str | None) -> bool:
        with self._locked():
            found = self._find(service_id)
            if found is None or incarnation not in (None, found[1].incarnation):
                return False
            found[0].unlink()
            return True

    def _find(self, service_id: str) -> tuple[Path, Record] | None:
        for folder in self._root.iterdir():
            for path, record in self._records(folder.name):
                if record.service.id == service_id:
                    return path, record
        return None

    def _place(self, service: Service) -> Path:
        return self._root / file_name(service.name) / f"{file_name(service.id)}.json"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, so that "only if it is still ours" holds."""
        self._store()
        with (self._root / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _replace(place: Path, content: bytes, *, only_new: bool = False) -> None:
    """Write a file so that a reader sees it whole or not at all; ``only_new`` leaves one that is there."""
    descriptor, draft = tempfile.mkstemp(dir=place.parent, prefix=".draft-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        if only_new:
            with contextlib.suppress(FileExistsError):
                place.hardlink_to(draft)
            Path(draft).unlink()
        else:
            Path(draft).replace(place)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
