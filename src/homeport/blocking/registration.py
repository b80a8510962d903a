"""A registration in the hands of a program without an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol, Self, TypeAlias

from homeport.client.keeper import Standing
from homeport.client.registration import OnStanding as AsyncOnStanding
from homeport.client.registration import Registration as AsyncRegistration
from homeport.errors import NotReady
from homeport.model import Check, Service, Status

from .dispatcher import Dispatcher
from .loop_thread import LoopThread

OnStanding: TypeAlias = "Callable[[Registration], object]"


class Owner(Protocol):
    """What a registration needs of the `Discovery` that it belongs to."""

    @property
    def loop_thread(self) -> LoopThread:
        """The loop thread of this process."""
        ...

    @property
    def dispatcher(self) -> Dispatcher:
        """The thread for callbacks."""
        ...

    def forget_closed(self) -> None:
        """A registration may be over."""
        ...


class Registration:
    """One instance of a service, registered and kept alive until it is closed.

    It stands when `Discovery.register` returns it; ``with`` closes it at the end of the block. Wherever a `Discovery`
    takes the id of a registration, it takes the registration.

    When the lease was lost (the registry was wiped, restarted, or out of reach for longer than the ttl), `lost` is
    true until it stands again, which happens by itself. ``on_change`` is called with the registration at each of
    these moments.

    It belongs to the process that made it. In a forked one it is as closed, and closing it does nothing.
    """

    def __init__(
        self, owner: Owner, registration: AsyncRegistration | None = None, *, on_change: OnStanding | None = None
    ) -> None:
        self._owner = owner
        self._on_change = on_change
        self._registration = registration
        self._left_behind = False

    def __repr__(self) -> str:
        return f"<blocking Registration of {self.service.name!r} as {self.id!r}: {self.standing.value}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def service(self) -> Service:
        """What is registered."""
        return self._begun().service

    @property
    def id(self) -> str:
        """The id, also a generated one."""
        return self._begun().id

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return Standing.CLOSED if self._left_behind else self._begun().standing

    @property
    def lost(self) -> bool:
        """Whether it was made but does not stand now: lost and not made again yet, or taken over by another program."""
        return not self._left_behind and self._begun().lost

    @property
    def reason(self) -> str:
        """Why it is lost, "" when it is not."""
        return "" if self._left_behind else self._begun().reason

    def wait_for(self, *standings: Standing) -> Standing:
        """Return as soon as it stands as one of these, or is closed; the moment is not missed however short it is."""
        if self._left_behind:
            return Standing.CLOSED
        registration = self._begun()
        try:
            return self._owner.loop_thread.run(registration.wait_for, *standings)
        except NotReady:
            # Its end may be under way still: nothing else comes any more.
            if self._owner.loop_thread.closed:
                return Standing.CLOSED
            raise

    def update(
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
        self._owner.loop_thread.run(
            self._own().update,
            address=address,
            port=port,
            tags=tags,
            meta=meta,
            weight=weight,
            version=version,
            environment=environment,
            checks=checks,
        )

    def update_meta(self, meta: Mapping[str, object]) -> None:
        """Add metadata, or replace it key by key; other keys stay.

        Raises:
            HomeportError: see `update`.
        """
        self._owner.loop_thread.run(self._own().update_meta, meta)

    def report(self, status: Status, *, check: str = "", output: str = "") -> None:
        """Report the status of a TTL check of this registration, by id or name; "" is its only one.

        Raises:
            Refused: there is no such check, or the registry runs it itself.
            Unsupported: the backend has no checks that can be set.
        """
        self._owner.loop_thread.run(self._own().report, status, check=check, output=output)

    def close(self) -> bool:
        """Deregister; True if it was still there. Calling it twice is harmless.

        A registration that another program has taken over is left alone.

        Raises:
            HomeportError: the backend cannot be asked; the lease then runs out by itself.
        """
        if self._left_behind or self._owner.loop_thread.closed:
            return False
        try:
            return self._owner.loop_thread.run(self._begun().close)
        finally:
            self._owner.forget_closed()

    def begin(self, make: Callable[[AsyncOnStanding], AsyncRegistration]) -> None:
        """Register; ``make`` makes the registration with what it is to call. Called once, by the owner, or never."""
        try:
            self._owner.loop_thread.run(self._begin, make)
        except BaseException:
            # An interrupt may have come after it was made.
            if self._registration is not None:
                self._owner.loop_thread.launch(self._registration.close)
            raise

    async def aclose(self) -> None:
        """As `close`, in the event loop."""
        await self._begun().close()

    def left_behind(self) -> None:
        """This is a forked child, and the registration is the parent's."""
        self._left_behind = True

    def _begun(self) -> AsyncRegistration:
        assert self._registration is not None
        return self._registration

    def _own(self) -> AsyncRegistration:
        if self._left_behind:
            raise NotReady(f'the registration "{self.id}" belongs to the process that made it; register in this one')
        return self._begun()

    async def _begin(self, make: Callable[[AsyncOnStanding], AsyncRegistration]) -> None:
        self._registration = make(self.stood)
        await self._registration.begin()

    async def stood(self, _registration: AsyncRegistration) -> None:
        """Tell the callback. Called in the event loop."""
        # Called with or without a callback: what the event loop can call here stays alive, and registered, also if
        # the program keeps no reference to it.
        if self._on_change is not None:
            await self._owner.dispatcher.call(partial(self._on_change, self))
