"""A registration in the hands of the program that made it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any, Protocol, Self, TypeAlias

import msgspec

from homeport.abilities import CHECKS
from homeport.errors import BackendUnavailable, HomeportError, InvalidAnswer, InvalidValue, NotReady, Unsupported
from homeport.model import Check, Service, Status, frozen_meta
from homeport.spi import HealthReporter, Registrar

from .check_form import health_check
from .keeper import Keeper, Standing
from .tasks import Tasks

_log = logging.getLogger(__name__)

OnStanding: TypeAlias = "Callable[[Registration], Awaitable[None] | None]"


class Owner(Protocol):
    """What a registration needs of the `Discovery` that it belongs to."""

    async def completed(self, service: Service) -> Service:
        """The service with an id, an address and a start time."""
        ...

    def keeper(self, service: Service, *, ttl: float, on_standing: Callable[[Standing, str], None]) -> Keeper:
        """A keeper for the completed service."""
        ...

    def opening(self, registration: Registration) -> None:
        """The registration is about to be made."""
        ...

    def opened(self, registration: Registration) -> None:
        """The registration was made."""
        ...

    def closed(self, registration: Registration) -> None:
        """The registration is over."""
        ...

    async def wrote(self, service: str) -> None:
        """Something was written about a service."""
        ...


class Registration:
    """One instance of a service, registered and kept alive until it is closed.

    Use it as ``async with discovery.register("api", port=8080) as registration:``, or ``await`` it and `close` it
    yourself.

    When the lease was lost (the registry was wiped, restarted, or out of reach for longer than the ttl), `lost` is
    true until it stands again, which happens by itself. ``on_change`` is called with the registration at each of
    these moments.
    """

    def __init__(
        self,
        service: Service,
        *,
        backend: Registrar,
        owner: Owner,
        tasks: Tasks,
        ttl: float,
        on_change: OnStanding | None = None,
    ) -> None:
        if not isinstance(ttl, int | float):
            raise InvalidValue(f'the ttl of "{service.name}" is {ttl!r}; give a number of seconds')
        if not ttl >= 1.0:
            raise InvalidValue(f'the ttl of "{service.name}" is {ttl:g} s; it must be 1 s or more')
        refuse_no_function(on_change, what="on_change")
        self._service = service
        self._backend = backend
        self._owner = owner
        self._tasks = tasks
        self._ttl = ttl
        self._on_change = on_change
        self._keeper: Keeper | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._calling_back = asyncio.Lock()
        self._waiting: list[tuple[tuple[Standing, ...], asyncio.Future[Standing]]] = []
        self._reason = ""

    def __repr__(self) -> str:
        return f"<Registration of {self._service.name!r} as {self._service.id!r}: {self.standing.value}>"

    def __await__(self) -> Generator[Any, None, Registration]:
        return self._awaited().__await__()

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    @property
    def service(self) -> Service:
        """What is registered."""
        return self._keeper.service if self._keeper is not None else self._service

    @property
    def id(self) -> str:
        """The id, also a generated one.

        Raises:
            NotReady: it has not begun, and no id was given.
        """
        if not self.service.id:
            raise NotReady(f'the registration of "{self._service.name}" has no id yet: await it first')
        return self.service.id

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return self._keeper.standing if self._keeper is not None else Standing.NEW

    @property
    def lost(self) -> bool:
        """Whether it was made but does not stand now: lost and not made again yet, or taken over by another program."""
        return self.standing in (Standing.LOST, Standing.REPLACED)

    @property
    def reason(self) -> str:
        """Why it is lost, "" when it is not."""
        return self._reason

    async def wait_for(self, *standings: Standing) -> Standing:
        """Return as soon as it stands as one of these, or is closed; the moment is not missed however short it is."""
        if self.standing in standings or self.standing is Standing.CLOSED:
            return self.standing
        reached: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        waiter = (standings, reached)
        self._waiting.append(waiter)
        try:
            return await reached
        finally:
            self._waiting.remove(waiter)

    async def begin(self) -> None:
        """Register; calling it again changes nothing.

        Raises:
            InvalidValue: the service cannot be registered like that.
            HomeportError: the backend cannot be asked, or refuses.
        """
        async with self._beginning:
            if self._keeper is not None:
                if self._keeper.standing is Standing.CLOSED:
                    raise NotReady(f'the registration of "{self._service.name}" was closed; register anew')
                return
            self._owner.opening(self)
            try:
                await self._make()
            except BaseException:
                self._owner.closed(self)
                raise
        await self._owner.wrote(self._service.name)

    async def update(
        self,
        *,
        address: str | None = None,
        port: int | None = None,
        tags: Iterable[str] | None = None,
        meta: Mapping[str, object] | None = None,
        weight: int | None = None,
        version: str | None = None,
        environment: str | None = None,
        checks: Iterable[Check | Mapping[str, object]] | None = None,
    ) -> None:
        """Replace what is given, keep what is not; the instance stays registered throughout.

        Raises:
            InvalidValue: a value cannot be right; nothing was changed.
            Conflict: another program has taken over the id.
            HomeportError: the backend cannot be asked, or refuses; the content before is kept.
        """
        changes: dict[str, Any] = {
            "address": address,
            "port": port,
            "tags": None if tags is None else text_tuple(tags, what="tags"),
            "weight": weight,
            "version": version,
            "environment": environment,
            "checks": None if checks is None else tuple(health_check(check) for check in checks),
        }
        given = {name: value for name, value in changes.items() if value is not None}
        new_meta = None if meta is None else frozen_meta(meta)

        def change(service: Service) -> Service:
            if new_meta is not None:
                given["meta"] = {**_start_time(service), **new_meta}
            return msgspec.structs.replace(service, **given)

        await self._change(change)

    async def update_meta(self, meta: Mapping[str, object]) -> None:
        """Add metadata, or replace it key by key; other keys stay.

        Raises:
            HomeportError: see `update`.
        """
        added = frozen_meta(meta)
        await self._change(lambda service: msgspec.structs.replace(service, meta={**service.meta, **added}))

    async def report(self, status: Status, *, check: str = "", output: str = "") -> None:
        """Report the status of a TTL check of this registration, by id or name; "" is its only one.

        Raises:
            Refused: there is no such check, or the registry runs it itself.
            Unsupported: the backend has no checks that can be set.
        """
        keeper = self._begun()
        if not isinstance(self._backend, HealthReporter):
            raise Unsupported(f"{self._backend.url} takes no reports of health", backend=self._backend.url, able=CHECKS)
        await self._backend.report(keeper.service.id, check, status, output=output)
        await self._owner.wrote(keeper.service.name)

    async def close(self) -> bool:
        """Deregister; True if it was still there. Calling it twice is harmless.

        A registration that another program has taken over is left alone.

        Raises:
            HomeportError: the backend cannot be asked; the lease then runs out by itself.
        """
        async with self._beginning:
            keeper = self._keeper
            if keeper is None or keeper.standing is Standing.CLOSED:
                return False
            try:
                removed = await keeper.deregister()
            finally:
                self._owner.closed(self)
                if self._keeping is not None:
                    await self._tasks.cancel(self._keeping)
        await self._owner.wrote(keeper.service.name)
        return removed

    async def _make(self) -> None:
        self._service = await self._owner.completed(self._service)
        keeper = self._owner.keeper(self._service, ttl=self._ttl, on_standing=self._stood)
        try:
            await keeper.register()
        except (BackendUnavailable, InvalidAnswer, asyncio.CancelledError):
            # It may have arrived all the same; nobody would renew it.
            self._tasks.clean_up(_withdraw(keeper), name=f"homeport withdraw {self._service.id}")
            raise
        self._keeper = keeper
        self._owner.opened(self)
        self._keeping = self._tasks.start(keeper.keep(), name=f"homeport keeper {self._service.id}")

    async def _change(self, change: Callable[[Service], Service]) -> None:
        keeper = self._begun()
        await keeper.change(change)
        await self._owner.wrote(keeper.service.name)

    async def _awaited(self) -> Registration:
        await self.begin()
        return self

    def _begun(self) -> Keeper:
        if self._keeper is None or self._keeper.standing is Standing.CLOSED:
            raise NotReady(f'"{self._service.name}" is not registered: await the registration first')
        return self._keeper

    def _stood(self, standing: Standing, reason: str) -> None:
        for standings, reached in self._waiting:
            if not reached.done() and (standing in standings or standing is Standing.CLOSED):
                reached.set_result(standing)
        was_lost, self._reason = bool(self._reason), reason
        if self._on_change is None or (standing is Standing.REGISTERED and not was_lost) or standing is Standing.CLOSED:
            return
        try:
            outcome = self._on_change(self)
        except Exception:  # noqa: BLE001 - a callback's defect is its owner's; the registration goes on
            self._callback_failed()
        else:
            if inspect.isawaitable(outcome):
                self._tasks.launch(self._finish(outcome), name=f"homeport callback {self._service.id}")

    async def _finish(self, outcome: Awaitable[None]) -> None:
        """Run the rest of a callback that is a coroutine, after those before it."""
        async with self._calling_back:
            try:
                await outcome
            except Exception:  # noqa: BLE001 - a callback's defect is its owner's; the registration goes on
                self._callback_failed()

    def _callback_failed(self) -> None:
        _log.exception("a callback of a registration failed", extra={"id": self._service.id})


async def _withdraw(keeper: Keeper) -> None:
    """Remove what a failed attempt may have left; its lease runs out otherwise."""
    with contextlib.suppress(HomeportError):
        await keeper.deregister()


def _start_time(service: Service) -> dict[str, str]:
    """The part of the metadata that is kept when the metadata is replaced."""
    kept = service.meta.get("started_at")
    return {} if kept is None else {"started_at": kept}


def refuse_no_function(value: object, *, what: str) -> None:
    """Refuse what is neither None nor can be called.

    Raises:
        InvalidValue: it is such a thing.
    """
    if value is not None and not callable(value):
        raise InvalidValue(f"{what} is {value!r}; give a function")


def text_tuple(values: Iterable[str], *, what: str) -> tuple[str, ...]:
    """Texts as a tuple.

    Raises:
        InvalidValue: it is one text, whose letters would be taken one by one, or contains something else.
    """
    if isinstance(values, str):
        raise InvalidValue(f'{what} is the text "{values}"; give a list of texts')
    if not isinstance(values, Iterable):
        raise InvalidValue(f"{what} is {values!r}; give a list of texts")
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str):
            raise InvalidValue(f"{what} contains {text!r}, which is not a text")
    return texts
