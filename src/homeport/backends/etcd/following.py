"""One watch of the keys of all services, shared by those who follow one.

The gateway takes one watch a request, so a watch for each service holds a connection for each. This one hears of all
services, also of those that nobody here follows: a program with a few services would pay for the traffic of all others,
and may have no right to read more than its own keys. So the first `HANDFUL` services have a watch each, which etcd
narrows to what they want, and from the next one on all share this one. Who has a watch goes over when that next speaks.
Where etcd refuses to show all keys to this user, everybody keeps a watch and there is a limit to them.

Only events come this way. What a service's keys are when it is first followed, and after a loss, its follower reads.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from homeport.errors import BackendUnavailable, HomeportError, InvalidAnswer

from .api import EtcdAPI, Watching, keys_below
from .shapes import Event, RangeAnswer
from .tally import Tally

HANDFUL = 5
"""So many services are followed by a watch each."""
_PURPOSE = "follow all services"
_SHORTEST_WAIT = 0.001
_RANGE = msgspec.json.Decoder(RangeAnswer, strict=False)


class News(NamedTuple):
    """The last event of each key to which something happened since the news before; none where all is confirmed.

    Nothing else happened up to ``revision``.
    """

    events: tuple[Event, ...]
    revision: int


class Follower:
    """One who follows the keys of a service. ``store`` is the cluster that is heard."""

    __slots__ = ("_events", "_failure", "_outdated", "_revision", "_told", "service", "store")

    def __init__(self, service: bytes) -> None:
        self.service = service
        self.store = ""
        self._told = asyncio.Event()
        self._events: dict[bytes, Event] = {}
        self._revision = 0
        self._outdated = False
        self._failure: HomeportError | None = None

    async def next(self) -> News | None:
        """Wait for news; None when events may be missing, so that the keys have to be read anew.

        Raises:
            HomeportError: etcd cannot be followed any more.
        """
        await self._told.wait()
        self._told.clear()
        if self._failure is not None:
            raise self._failure
        events, self._events = tuple(self._events.values()), {}
        outdated, self._outdated = self._outdated, False
        return None if outdated else News(events, self._revision)

    def happened(self, event: Event) -> None:
        """Something happened to one of the keys."""
        self._events[event.kv.key] = event
        self._revision = event.kv.mod_revision
        self._told.set()

    def confirmed(self, revision: int) -> None:
        """Everything up to this revision was told."""
        self._revision = max(self._revision, revision)
        self._told.set()

    def begin(self, store: str, *, outdated: bool) -> None:
        """There is a watch from now on; ``outdated`` if there was another one before."""
        self.store = store
        self._events.clear()
        self._revision = 0
        self._outdated = outdated
        if outdated:
            self._told.set()

    def fail(self, error: HomeportError) -> None:
        """It is over."""
        self._failure = error.copied()
        self._told.set()


class Following:
    """Watches while there is anybody to watch for. A failure ends it for all of them; whoever goes on begins anew.

    Where etcd has compacted away what the watch would go on with, where a confirmation finds what was not told, and
    where another cluster answers, there is a new watch, and all who follow read their keys anew. A confirmation is
    asked for every ``confirm_interval`` seconds, however much there is to hear: who follows a quiet service needs it.
    """

    def __init__(self, api: EtcdAPI, prefix: str, *, confirm_interval: float, timeout: float) -> None:
        self._api = api
        self._prefix = prefix.encode()
        self._keys = keys_below(self._prefix)
        self._confirm_interval = confirm_interval
        self._timeout = timeout
        self._followers: dict[bytes, set[Follower]] = {}
        self._run: _Run | None = None
        self.proven = False
        """Whether there has been a watch, so that any number of services can share one."""

    @property
    def followed(self) -> bool:
        """Whether somebody follows."""
        return bool(self._followers)

    async def join(self, service: str) -> Follower:
        """Follow the keys of a service until `leave`: all that happens after this returns is told.

        Raises:
            HomeportError: etcd cannot be followed.
        """
        if self._run is None:
            self._run = _Run(self)
        run = self._run
        follower = Follower(service.encode())
        self._followers.setdefault(follower.service, set()).add(follower)
        try:
            follower.store = await run.ready()
        except BaseException:
            await self.leave(follower)
            raise
        return follower

    async def leave(self, follower: Follower) -> None:
        """Follow it no more; when nobody is left, nothing is watched any more."""
        same = self._followers.get(follower.service, set())
        same.discard(follower)
        if not same:
            self._followers.pop(follower.service, None)
        if not self._followers:
            await self.aclose()

    async def aclose(self) -> None:
        """Watch no more; who still follows learns so."""
        run = self._run
        if run is not None:
            self._failed(run, self._closed())
            await run.aclose()

    # what a run is made of

    async def watch(self, run: _Run) -> None:
        """Watch until that fails; it never returns."""
        again = False
        while True:
            begun = await self._counted()
            watching = await self._api.watch(self._keys, start_revision=begun.header.revision + 1, purpose=_PURPOSE)
            with contextlib.closing(watching):
                self.proven = True
                for follower in self._everybody():
                    follower.begin(begun.header.cluster_id, outdated=again)
                run.begun(begun.header.cluster_id)
                await self._pass_on(watching, begun)
            again = True

    async def _pass_on(self, watching: Watching, begun: RangeAnswer) -> None:
        """Tell everybody what happens, until something may be missing."""
        loop = asyncio.get_running_loop()
        tally = Tally(begun)
        due = loop.time() + self._confirm_interval
        while True:
            changes = await watching.next(timeout=max(_SHORTEST_WAIT, due - loop.time()))
            if changes is not None:
                if changes.compact_revision or changes.header.cluster_id != begun.header.cluster_id:
                    return
                tally.hear(changes.events)
                self._tell(changes.events)
            late = loop.time() >= due
            if late and not tally.expects:
                tally.expect(await self._counted())
                due = loop.time() + self._timeout  # what happened just now may still be on its way
                late = False
            if tally.verdict is False or (late and tally.verdict is None):
                return
            if tally.verdict:
                confirmed = tally.reached()
                for follower in self._everybody():
                    follower.confirmed(confirmed)
                due = loop.time() + self._confirm_interval

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            service, _, _ = event.kv.key.removeprefix(self._prefix).partition(b"/")
            for follower in self._followers.get(service, ()):
                follower.happened(event)

    def _everybody(self) -> list[Follower]:
        return [follower for same in self._followers.values() for follower in same]

    async def _counted(self) -> RangeAnswer:
        """How many keys there are, and the one that was written last."""
        newest = {"keys_only": True, "limit": "1", "sort_target": "MOD", "sort_order": "DESCEND"}
        answer = await self._api.call("/v3/kv/range", {**self._keys, **newest}, _RANGE, purpose=_PURPOSE)
        if answer.header.revision < 1:
            raise InvalidAnswer(
                f"etcd did not say at which revision it answers, so it cannot {_PURPOSE}",
                backend=self._api.settings.url,
            )
        return answer

    def failed(self, run: _Run, error: BaseException) -> HomeportError:
        """It cannot go on; everybody is told the error that is returned."""
        if isinstance(error, asyncio.CancelledError):
            error = self._closed()
        elif not isinstance(error, HomeportError):
            defect = InvalidAnswer(f"following services failed: {error!r}", backend=self._api.settings.url)
            defect.__cause__ = error
            error = defect
        self._failed(run, error)
        return error

    def _failed(self, run: _Run, error: HomeportError) -> None:
        if self._run is run:
            self._run = None
            everybody, self._followers = self._everybody(), {}
            for follower in everybody:
                follower.fail(error)

    def _closed(self) -> BackendUnavailable:
        url = self._api.settings.url
        return BackendUnavailable(f"the connection to {url} was closed", backend=url)


class _Run:
    """From a first watch to a failure."""

    def __init__(self, owner: Following) -> None:
        self._owner = owner
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._begun.add_done_callback(_retrieved)
        self._store = ""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="homeport etcd")

    async def ready(self) -> str:
        """Wait until there is a watch; the cluster that is watched."""
        await asyncio.shield(self._begun)
        return self._store

    def begun(self, store: str) -> None:
        """There is a watch."""
        self._store = store
        if not self._begun.done():
            self._begun.set_result(None)

    async def aclose(self) -> None:
        """End the watch."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _watch(self) -> None:
        try:
            await self._owner.watch(self)
        except asyncio.CancelledError as error:
            self._end(error)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            self._end(error)

    def _end(self, error: BaseException) -> None:
        told = self._owner.failed(self, error)
        if not self._begun.done():
            self._begun.set_exception(told.copied())


def _retrieved(begun: asyncio.Future[None]) -> None:
    """A failure that nobody waited for is told to the followers another way."""
    if not begun.cancelled():
        begun.exception()
