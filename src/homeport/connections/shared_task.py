"""Work that is done once for many who follow it: it begins with the first of them, and ends with the last.

A failure ends it for all who follow at that moment, and each of them is told. Who comes later begins it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from homeport.errors import BackendUnavailable, HomeportError, InvalidAnswer


class Follower:
    """One who follows a service, or with "" all of them. What there is to hear, a subclass knows."""

    __slots__ = ("_failure", "_told", "service")

    def __init__(self, service: str = "") -> None:
        self.service = service
        self._told = asyncio.Event()
        self._failure: HomeportError | None = None

    @property
    def was_told(self) -> bool:
        """Whether there is something that `told` has not returned for."""
        return self._told.is_set()

    def tell(self) -> None:
        """There is something to hear."""
        self._told.set()

    def fail(self, error: HomeportError) -> None:
        """There will be nothing to hear any more."""
        self._failure = error
        self._told.set()

    async def told(self) -> None:
        """Wait until there is something to hear.

        Raises:
            HomeportError: there will be nothing any more.
        """
        await self._told.wait()
        self.check()
        self._told.clear()

    def check(self) -> None:
        """Raise the failure, if there was one."""
        if self._failure is not None:
            raise self._failure.copied()


FollowerT = TypeVar("FollowerT", bound=Follower)
Start = TypeVar("Start")


class Followers(Generic[FollowerT, Start]):
    """All who follow one run of the work. They are told by it, and nobody joins them after its end."""

    start: Start
    """What `begun` was called with last."""

    def __init__(self) -> None:
        self._by_service: dict[str, set[FollowerT]] = {}
        self._settled = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._by_service)

    def __iter__(self) -> Iterator[FollowerT]:
        return (follower for same in self._by_service.values() for follower in same)

    def of(self, service: str) -> Collection[FollowerT]:
        """Those of a service."""
        return self._by_service.get(service, ())

    def begun(self, start: Start) -> None:
        """What had to come first is done; who waited for it gets ``start``, and so does whoever joins later."""
        self.start = start
        self._settled.set()

    # what the task does

    def add(self, follower: FollowerT) -> None:
        """One more."""
        self._by_service.setdefault(follower.service, set()).add(follower)

    def discard(self, follower: FollowerT) -> None:
        """One less, if it was among them."""
        same = self._by_service.get(follower.service, set())
        same.discard(follower)
        if not same:
            self._by_service.pop(follower.service, None)

    def fail(self, error: HomeportError) -> None:
        """Tell all that it is over."""
        for follower in self:
            follower.fail(error)
        self._settled.set()

    async def settled(self) -> None:
        """Wait until it has begun or is over."""
        await self._settled.wait()


class SharedTask(Generic[FollowerT, Start]):
    """Does ``work`` in a task while anybody follows, and not longer.

    ``work`` is called with those whom it has to tell, and goes on until it fails or is cancelled. An error that is none
    of Homeport's is a defect of it; the followers are told an `InvalidAnswer` of ``backend``, whose cause it is.
    """

    def __init__(
        self,
        work: Callable[[Followers[FollowerT, Start]], Coroutine[Any, Any, None]],
        *,
        name: str,
        backend: str,
    ) -> None:
        self.followers = Followers[FollowerT, Start]()
        """Who follows now. After an end it is another object, so that nobody hears of what was before."""
        self._work = work
        self._name = name
        self._backend = backend
        self._task: asyncio.Task[None] | None = None
        self._unfinished: set[asyncio.Task[None]] = set()

    def add(self, follower: FollowerT) -> None:
        """Let somebody follow from now on, until `leave`."""
        if not self.followers:
            self._begin()
        self.followers.add(follower)

    async def join(self, follower: FollowerT) -> Start:
        """As `add`, and wait until the work has `begun`; what it said then.

        Raises:
            HomeportError: it failed, or was closed, before.
        """
        followers = self.followers
        self.add(follower)
        try:
            await followers.settled()
            follower.check()
        except BaseException:
            await self.leave(follower)
            raise
        return followers.start

    async def leave(self, follower: FollowerT) -> None:
        """Let somebody follow no more; with the last one the work ends, and it has ended when this returns."""
        self.followers.discard(follower)
        if not self.followers:
            await self.aclose()

    async def aclose(self) -> None:
        """End the work; who follows is told that it was closed."""
        self.fail(self.closed())
        if self._unfinished:
            await asyncio.wait(tuple(self._unfinished))

    def fail(self, error: Exception) -> None:
        """End the work; who follows is told this error."""
        task = self._task
        self._end(self.followers, error)
        if task is not None:
            task.cancel()

    def closed(self) -> BackendUnavailable:
        """The error of what was closed."""
        return BackendUnavailable(f"the connection to {self._backend} was closed", backend=self._backend)

    def _begin(self) -> None:
        followers = self.followers

        def ended(task: asyncio.Task[None]) -> None:
            self._unfinished.discard(task)
            self._end(followers, self.closed())  # they know why, unless somebody else cancelled it or it just returned

        self._task = asyncio.get_running_loop().create_task(self._run(followers), name=self._name)
        self._task.add_done_callback(ended)
        self._unfinished.add(self._task)

    async def _run(self, followers: Followers[FollowerT, Start]) -> None:
        try:
            await self._work(followers)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            self._end(followers, error)

    def _end(self, followers: Followers[FollowerT, Start], error: Exception) -> None:
        """Tell those followers why it is over, unless they know."""
        if followers is not self.followers:
            return
        self.followers = Followers()
        self._task = None
        if not isinstance(error, HomeportError):
            defect = InvalidAnswer(f"following services failed: {error!r}", backend=self._backend)
            defect.__cause__ = error
            error = defect
        followers.fail(error)
