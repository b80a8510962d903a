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
from typing import NamedTuple

import msgspec

from homeport.connections import shared_task
from homeport.connections.shared_task import Followers, SharedTask
from homeport.errors import InvalidAnswer

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


class Follower(shared_task.Follower):
    """One who follows the keys of a service. ``store`` is the cluster that is heard."""

    __slots__ = ("_events", "_outdated", "_revision", "store")

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.store = ""
        self._events: dict[bytes, Event] = {}
        self._revision = 0
        self._outdated = False

    async def next(self) -> News | None:
        """Wait for news; None when events may be missing, so that the keys have to be read anew.

        Raises:
            HomeportError: etcd cannot be followed any more.
        """
        await self.told()
        events, self._events = tuple(self._events.values()), {}
        outdated, self._outdated = self._outdated, False
        return None if outdated else News(events, self._revision)

    def happened(self, event: Event) -> None:
        """Something happened to one of the keys."""
        self._events[event.kv.key] = event
        self._revision = event.kv.mod_revision
        self.tell()

    def confirmed(self, revision: int) -> None:
        """Everything up to this revision was told."""
        self._revision = max(self._revision, revision)
        self.tell()

    def begin(self, store: str, *, outdated: bool) -> None:
        """There is a watch from now on; ``outdated`` if there was another one before."""
        self.store = store
        self._events.clear()
        self._revision = 0
        self._outdated = outdated
        if outdated:
            self.tell()


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
        self._watching = SharedTask[Follower, str](self._watch, name="homeport etcd", backend=api.settings.url)
        self.proven = False
        """Whether there has been a watch, so that any number of services can share one."""

    @property
    def followed(self) -> bool:
        """Whether somebody follows."""
        return bool(self._watching.followers)

    async def join(self, service: str) -> Follower:
        """Follow the keys of a service until `leave`: all that happens after this returns is told.

        Raises:
            HomeportError: etcd cannot be followed.
        """
        follower = Follower(service)
        follower.store = await self._watching.join(follower)
        return follower

    async def leave(self, follower: Follower) -> None:
        """Follow it no more; when nobody is left, nothing is watched any more."""
        await self._watching.leave(follower)

    async def aclose(self) -> None:
        """Watch no more; who still follows learns so."""
        await self._watching.aclose()

    async def _watch(self, followers: Followers[Follower, str]) -> None:
        """Watch until that fails; it never returns."""
        again = False
        while True:
            begun = await self._counted()
            cluster = begun.header.cluster_id
            watching = await self._api.watch(self._keys, start_revision=begun.header.revision + 1, purpose=_PURPOSE)
            with contextlib.closing(watching):
                self.proven = True
                for follower in followers:
                    follower.begin(cluster, outdated=again)
                followers.begun(cluster)
                await self._pass_on(watching, begun, followers)
            again = True

    async def _pass_on(self, watching: Watching, begun: RangeAnswer, followers: Followers[Follower, str]) -> None:
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
                for event in changes.events:
                    for follower in followers.of(self._service_of(event)):
                        follower.happened(event)
            late = loop.time() >= due
            if late and not tally.expects:
                tally.expect(await self._counted())
                due = loop.time() + self._timeout  # what happened just now may still be on its way
                late = False
            if tally.verdict is False or (late and tally.verdict is None):
                return
            if tally.verdict:
                confirmed = tally.reached()
                for follower in followers:
                    follower.confirmed(confirmed)
                due = loop.time() + self._confirm_interval

    def _service_of(self, event: Event) -> str:
        service, _, _ = event.kv.key.removeprefix(self._prefix).partition(b"/")
        return service.decode(errors="surrogateescape")  # what is no text is no service that anybody follows

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
