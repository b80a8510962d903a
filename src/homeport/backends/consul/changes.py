"""One waiting request for all services that are followed on Homeport's registry, instead of one for each."""

from __future__ import annotations

import asyncio

import msgspec

from homeport.connections import shared_task
from homeport.connections.shared_task import Followers, SharedTask

from .api import ConsulAPI

_MOVED = msgspec.json.Decoder(dict[str, int])
_GATHERING_TIME = 0.005


class Follower(shared_task.Follower):
    """One service that somebody follows."""

    __slots__ = ("_moved_to", "position")

    def __init__(self, service: str, position: int) -> None:
        super().__init__(service)
        self.position = position
        self._moved_to = 0

    async def next(self, position: int) -> bool:
        """Wait until there is reason to ask for the service again (True), or it is confirmed at ``position`` (False).

        Raises:
            HomeportError: the registry cannot be asked any more.
        """
        self.position = position
        await self.told()
        # What was told may have been seen already by who asked in the meantime. It may also be an index of other data.
        return self._moved_to not in (0, position)

    def moved(self, index: int) -> None:
        """The registry says that it moved."""
        self.position = self._moved_to = index
        self.tell()

    def confirmed(self) -> None:
        """The registry says that it did not move."""
        if not self.was_told:
            self._moved_to = 0
            self.tell()


class Changes:
    """Asks for the changes of all followed services in one request at a time; asks nothing while nobody follows.

    A failure ends all followings; whoever goes on begins a new one. ``wait`` is how long a request waits in seconds,
    which is also how often everybody hears a confirmation.
    """

    def __init__(self, api: ConsulAPI, *, wait: float, timeout: float) -> None:
        self._api = api
        self._wait = wait
        self._timeout = timeout
        self._joined = asyncio.Event()
        self._store = ""
        self._asking = SharedTask[Follower, None](self._ask, name="homeport changes", backend=api.settings.url)

    def follow(self, service: str, position: int, store: str) -> Follower:
        """Follow a service from a position in the data ``store`` on, until `leave`."""
        follower = Follower(service, position)
        self._store = store
        self._asking.add(follower)
        self._joined.set()
        return follower

    async def leave(self, follower: Follower) -> None:
        """Follow it no more; when nobody is left, nothing is asked any more."""
        await self._asking.leave(follower)

    async def aclose(self) -> None:
        """Ask no more; who follows is told that it was closed."""
        await self._asking.aclose()

    async def _ask(self, followers: Followers[Follower, None]) -> None:
        loop = asyncio.get_running_loop()
        confirmed_at = loop.time()
        while True:
            self._joined.clear()
            # A confirmation may not be put off for ever by those who join.
            wait = max(0.001, min(self._wait, confirmed_at + self._wait - loop.time()))
            asked = tuple(followers)
            moved = await self._interruptible(asked, wait)
            if moved is None:
                await asyncio.sleep(_GATHERING_TIME)  # who joins first is rarely the only one
                continue
            if not moved:
                confirmed_at = loop.time()
            for follower in asked:
                index = moved.get(follower.service)
                if index is not None:
                    follower.moved(index)
                elif not moved:  # each change would cost what all services cost, if it confirmed all others
                    follower.confirmed()

    async def _interruptible(self, followers: tuple[Follower, ...], wait: float) -> dict[str, int] | None:
        """What moved of the services of these followers; None when somebody joined before there was an answer."""
        request = asyncio.ensure_future(self._request(followers, wait))
        joined = asyncio.ensure_future(self._joined.wait())
        try:
            await asyncio.wait([request, joined], return_when=asyncio.FIRST_COMPLETED)
            return request.result() if request.done() else None
        finally:
            for task in (request, joined):
                task.cancel()
            await asyncio.gather(request, joined, return_exceptions=True)

    async def _request(self, followers: tuple[Follower, ...], wait: float) -> dict[str, int]:
        positions: dict[str, int] = {}
        for follower in followers:
            positions[follower.service] = min(follower.position, positions.get(follower.service, follower.position))
        answer = await self._api.request(
            "POST",
            "/v1/homeport/services/changes",
            params={"wait": f"{max(1, round(wait * 1000))}ms", "store": self._store},
            body=msgspec.json.encode(positions),
            timeout=wait + wait / 16 + self._timeout,
            purpose="follow services",
        )
        return self._api.decode(_MOVED, answer)
