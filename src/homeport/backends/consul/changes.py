"""One waiting request for all services that are followed on Homeport's registry, instead of one for each."""

from __future__ import annotations

import asyncio

import msgspec

from homeport.errors import BackendUnavailable, HomeportError, InvalidAnswer

from .api import ConsulAPI

_MOVED = msgspec.json.Decoder(dict[str, int])
_GATHERING_TIME = 0.005


class Follower:
    """One service that somebody follows."""

    __slots__ = ("_failure", "_moved_to", "_told", "position", "service")

    def __init__(self, service: str, position: int) -> None:
        self.service = service
        self.position = position
        self._told = asyncio.Event()
        self._moved_to = 0
        self._failure: HomeportError | None = None

    async def next(self, position: int) -> bool:
        """Wait until there is reason to ask for the service again (True), or it is confirmed at ``position`` (False).

        Raises:
            HomeportError: the registry cannot be asked any more.
        """
        self.position = position
        await self._told.wait()
        self._told.clear()
        if self._failure is not None:
            raise self._failure
        # What was told may have been seen already by who asked in the meantime. It may also be an index of other data.
        return self._moved_to not in (0, position)

    def moved(self, index: int) -> None:
        """The registry says that it moved."""
        self.position = self._moved_to = index
        self._told.set()

    def confirmed(self) -> None:
        """The registry says that it did not move."""
        if not self._told.is_set():
            self._moved_to = 0
            self._told.set()

    def failed(self, error: HomeportError) -> None:
        """Nobody answers any more."""
        self._failure = error.copied()
        self._told.set()


class Changes:
    """Asks for the changes of all followed services in one request at a time; asks nothing while nobody follows.

    A failure ends all followings; whoever goes on begins a new one. ``wait`` is how long a request waits in seconds,
    which is also how often everybody hears a confirmation.
    """

    def __init__(self, api: ConsulAPI, *, wait: float, timeout: float) -> None:
        self._api = api
        self._wait = wait
        self._timeout = timeout
        self._followers: set[Follower] = set()
        self._joined = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._store = ""

    def follow(self, service: str, position: int, store: str) -> Follower:
        """Follow a service from a position in the data ``store`` on, until `leave`."""
        follower = Follower(service, position)
        self._store = store
        self._followers.add(follower)
        self._joined.set()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask(), name="homeport changes")
        return follower

    async def leave(self, follower: Follower) -> None:
        """Follow it no more; when nobody is left, nothing is asked any more."""
        self._followers.discard(follower)
        if not self._followers:
            await self._stop()

    async def aclose(self) -> None:
        """Ask no more; who follows is told that it was closed."""
        await self._stop()
        url = self._api.settings.url
        self._fail(BackendUnavailable(f"the connection to {url} was closed", backend=url))

    async def _stop(self) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            await asyncio.wait([asking])

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        confirmed_at = loop.time()
        try:
            while self._followers:
                self._joined.clear()
                # A confirmation may not be put off for ever by those who join.
                wait = max(0.001, min(self._wait, confirmed_at + self._wait - loop.time()))
                followers = tuple(self._followers)
                moved = await self._interruptible(followers, wait)
                if moved is None:
                    await asyncio.sleep(_GATHERING_TIME)  # who joins first is rarely the only one
                    continue
                if not moved:
                    confirmed_at = loop.time()
                for follower in followers:
                    index = moved.get(follower.service)
                    if index is not None:
                        follower.moved(index)
                    elif not moved:  # each change would cost what all services cost, if it confirmed all others
                        follower.confirmed()
        except HomeportError as error:
            self._fail(error)
        except Exception as error:  # a defect here must not leave anybody waiting for ever
            self._fail(InvalidAnswer(f"following services failed: {error!r}", backend=self._api.settings.url))
            raise

    def _fail(self, error: HomeportError) -> None:
        followers, self._followers = tuple(self._followers), set()
        for follower in followers:
            follower.failed(error)

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
