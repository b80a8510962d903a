"""What the contract suite has to know of the system behind a backend, and what it does to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Literal, TypeAlias

import msgspec

from homeport.client.discovery import Discovery
from homeport.client.settings import CacheSettings, ClientSettings
from homeport.model import Instance, Service
from homeport.spi import Backend, Discoverer, Registrar

from .blocking import in_shape_of_asynchronous

Mode: TypeAlias = Literal["async", "blocking"]
ASYNC: Mode = "async"
BLOCKING: Mode = "blocking"

OUTAGE = "outage"
CUT = "cut"
HALF_OPEN = "half-open"
SLOW = "slow"
GARBAGE = "garbage"

EAGER = ClientSettings(
    first_retry_interval=0.05,
    longest_retry_interval=0.5,
    deregister_timeout=10.0,
    cache=CacheSettings(refresh_interval=0.1, ttl=0.1, negative_ttl=0.1),
)
"""How the client behaves in the suite: impatient, so that no scenario takes long."""


class Harness(ABC):
    """One running system with a backend for it, for one test.

    A subclass gives `backend`, and says in its attributes what else can be done; it overrides what that needs.
    ``troubles`` are the names of what `trouble` can cause: `OUTAGE` (nobody answers), `CUT` (connections end),
    `HALF_OPEN` (nothing is answered any more), `SLOW` (answers come later, but in time), and any number that begin with
    `GARBAGE` (answers that cannot be right). `HALF_OPEN` wants backends with time-outs of some seconds:
    few enough to wait for, and more than a busy machine halts a process.
    ``restarts``, ``wipes``, ``compacts`` and ``rotates`` say that there is the method of that name.

    ``cannot`` declares what the system has no way to do: a capability (see `homeport.testing.contract.capabilities`),
    or one scenario by the name of its method, with the reason as a sentence. What is declared is shown as such; the
    suite sees to it that the client refuses it in words that name who can.

    ``system`` is what the harness runs on, with its version, for reports; what ``ping`` tells when it is empty.
    ``ttl`` is the shortest lease that the system knows, in seconds. ``writes_in_trouble`` says whether `write` and
    `remove` work while there is trouble, since only the way of the backends is troubled. ``mode`` is set by the suite:
    whether `discovery` gives the asynchronous API, or the blocking one in its shape.
    """

    troubles: tuple[str, ...] = ()
    restarts = False
    wipes = False
    compacts = False
    rotates = False
    cannot: Mapping[str, str] = {}
    system = ""
    writes_in_trouble = False
    ttl = 1.0
    settings: ClientSettings = EAGER
    mode: Mode = ASYNC

    @abstractmethod
    def backend(self) -> Backend:
        """A new backend, as a program would make it; whoever asks closes it."""

    def aside(self) -> Backend:
        """A new backend that no trouble concerns; without another way it is `backend`."""
        return self.backend()

    async def write(self, service: Service) -> None:
        """Add or replace an instance that passes and has no lease, apart from the backends under test."""
        async with aclosing(self.aside()) as backend:
            assert isinstance(backend, Registrar), "a harness of a backend that registers nothing overrides `write`"
            await backend.register(service, ttl=None, incarnation="")

    async def remove(self, service: Service) -> None:
        """Remove an instance, apart from the backends under test."""
        async with aclosing(self.aside()) as backend:
            assert isinstance(backend, Registrar), "a harness of a backend that registers nothing overrides `remove`"
            await backend.deregister(service.id)

    async def listed(self, service: str) -> list[str]:
        """The ids of all instances as the system itself says, sorted."""
        async with aclosing(self.aside()) as backend:
            assert isinstance(backend, Discoverer)
            return sorted(one.id for one in (await backend.fetch(service)).instances)

    def id_of(self, service: Service) -> str:
        """The id under which others see what was written; a system that knows no ids has one of its own making."""
        return service.id

    def marked(self, service: Service, mark: int) -> Service:
        """The service with content that differs from that of every other mark: its tags and its version."""
        return msgspec.structs.replace(service, tags=(str(mark),), version=str(mark))

    def mark_of(self, instance: Instance) -> int:
        """The mark that an instance was written with."""
        assert instance.tags == (instance.version,)
        return int(instance.version)

    def trouble(self, kind: str) -> AbstractAsyncContextManager[None]:
        """A block in which there is that trouble; `CUT` is over as soon as it began."""
        raise NotImplementedError(f"this harness names the trouble {kind!r} and does not cause it")

    async def restart(self) -> None:
        """Stop the system and start it again with its data; watches see an outage meanwhile."""
        raise NotImplementedError("this harness says that it restarts, and does not")

    async def wipe(self) -> None:
        """Let the system lose all its data, as after a new installation in the same place."""
        raise NotImplementedError("this harness says that it wipes, and does not")

    async def compact(self) -> None:
        """Let the system forget its history, so that nobody can go on from a position before this moment."""
        raise NotImplementedError("this harness says that it compacts, and does not")

    async def rotate(self) -> None:
        """Put a new credential where the backends read theirs, and make the old one worthless."""
        raise NotImplementedError("this harness says that it rotates, and does not")

    @asynccontextmanager
    async def discovery(self, settings: ClientSettings | None = None) -> AsyncIterator[Discovery]:
        """A `Discovery` over a new backend, both closed with the block; in the shape of one if it is a blocking one."""
        settings = settings or self.settings
        if self.mode == BLOCKING:
            async with in_shape_of_asynchronous(self.backend(), settings=settings) as discovery:
                yield discovery
            return
        async with (
            aclosing(self.backend()) as backend,
            Discovery(backend, settings=settings, handle_signals=False, environ={}) as discovery,
        ):
            yield discovery
