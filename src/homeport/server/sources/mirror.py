"""One source: what it has is made to stand on its node."""

from __future__ import annotations

import asyncio
import logging
import time
from random import Random

from homeport.client.backoff import Backoff
from homeport.client.ledger import RESET
from homeport.client.tasks import Tasks
from homeport.errors import HomeportError
from homeport.model import Snapshot
from homeport.registry.mirroring import Owner
from homeport.registry.registry import Registry
from homeport.registry.source_status import SourceState, SourceStatus
from homeport.registry.store.contract import StoreError
from homeport.registry.store.transaction import Refusal
from homeport.spi import Discoverer

from .comparison import Comparison
from .following import Following, Trouble
from .identity import Identity, IsThisRegistry
from .node import SourceNode
from .settings import SourceSettings
from .telling import Telling

_log = logging.getLogger(__name__)
_REFUSED_PAUSE = 10.0
_LONGEST_PAUSE = 2.0
_NOT_REACHED = "not reached since the server started"


class Mirror:
    """Mirrors one backend onto the node of ``owner``. Belongs to one event loop.

    What the source says is committed service by service, and only what differs. While it cannot be reached, its rows
    stay. A service that another node has is not mirrored, unless that is to be merged, or the node is one of those
    ``behind``, in lower case: the sources that come after this one.
    """

    def __init__(
        self, registry: Registry, settings: SourceSettings, backend: Discoverer, *, owner: Owner,
        behind: frozenset[str], random: Random,
    ) -> None:  # fmt: skip
        self.owner = owner
        self._backend = backend
        self._random = random
        self._tasks = Tasks()
        self._wake = asyncio.Event()
        self._node = SourceNode(registry, owner, url=backend.url)
        self._telling = Telling(self._node)
        self._identity = Identity(backend, registry=registry.identity.id)
        self._comparison = Comparison(self._node, settings, registry=registry.identity.id, behind=behind)
        self._following = Following(
            backend, settings, take=self._take, on_trouble=self._trouble_changed, stored=self._comparison.adopt(),
            random=random,
        )  # fmt: skip
        self._started_at = time.time()
        self._claimed = False
        self._back = False
        self._refusal: Trouble | None = None
        self._connecting: Trouble | None = Trouble(self._started_at, _NOT_REACHED)
        self._unwritten: Trouble | None = None

    async def claim(self) -> None:
        """Take possession of the node, and remove from it what was mirrored under other settings.

        Raises:
            Refusal: the node is no source's.
            StoreError: it could not be written; that is tried again once it has begun.
        """
        await self._node.claim()
        await self._node.write((), self._comparison.unwanted())
        self._claimed = True

    def start(self) -> None:
        """Begin to mirror."""
        self._tasks.launch(self._follow(), name=f"homeport source {self.owner.node}")
        self._tasks.launch(self._write(), name=f"homeport source {self.owner.node} writes")

    async def aclose(self) -> None:
        """End; what is mirrored stays."""
        await self._tasks.aclose()
        await self._following.aclose()
        await self._backend.aclose()

    def noticed(self, lowered: str) -> None:
        """Somebody else wrote about the service of that name, in lower case."""
        if self._comparison.noticed(lowered):
            self._wake.set()

    # How it fares

    def status(self) -> SourceStatus:
        """How it fares."""
        state, trouble = self._state()
        findings = self._comparison.findings
        return SourceStatus(
            node=self.owner.node, url=self._backend.url, owner=self.owner.token, state=state,
            stale_since=None if trouble is None else trouble.since,
            reason=self._left_out() if trouble is None else trouble.reason,
            services=self._node.services, instances=self._node.size, last_change=self._node.last_change,
            held=self._comparison.held, looped=findings.looped, conflicts=findings.conflicts,
            unconfirmed=findings.unconfirmed,
        )  # fmt: skip

    @property
    def _trouble(self) -> Trouble | None:
        """Why the source itself is not confirmed; that it cannot be written here is another matter."""
        return self._connecting or self._following.trouble

    def _state(self) -> tuple[SourceState, Trouble | None]:
        refusal = self._refusal or self._following.unlistable
        if refusal is not None:
            return "refused", refusal
        trouble = self._connecting or self._unwritten or self._following.trouble
        if self._connecting is not None or not self._following.listed:
            return "connecting", trouble or Trouble(self._started_at, _NOT_REACHED)
        return ("connected" if trouble is None else "stale"), trouble

    def _left_out(self) -> str:
        """Why a service, or an instance of it, can never be mirrored as it is; empty if there is none such."""
        found = self._following.unaskable | self._comparison.findings.unstorable
        if not found:
            return ""
        others = f" (one of {len(found)} services that are not mirrored whole)" if len(found) > 1 else ""
        return found[min(found)] + others

    # What comes from the source

    def _take(self, name: str, snapshot: Snapshot) -> None:
        if snapshot.stale:
            self._identity.doubt()
        self._comparison.take(name, snapshot)
        self._back |= not snapshot.stale or snapshot.reason == RESET
        self._wake.set()

    def _trouble_changed(self) -> None:
        if self._following.troubled:
            self._identity.doubt()
        self._wake.set()

    async def _follow(self) -> None:
        backoff = Backoff(first=0.2, longest=_LONGEST_PAUSE, random=self._random.random)
        while not await self._connected():
            pause = _REFUSED_PAUSE if self._refusal else backoff.next_pause()
            await asyncio.sleep(pause)
        await self._following.run()

    async def _connected(self) -> bool:
        try:
            await self._identify()
        except IsThisRegistry as error:
            self._refuse(str(error))
        except HomeportError as error:
            self._connecting = Trouble(self._started_at, str(error))
            self._wake.set()
        else:
            self._connecting, self._refusal = None, None
            _log.info("a source is reached", extra={"source": self.owner.node, "backend": self._backend.url})
            return True
        return False

    async def _identify(self) -> None:
        if await self._identity.find_out():
            self._comparison.look_at_all()  # their path is another one now

    def _refuse(self, reason: str) -> None:
        if self._refusal is None or self._refusal.reason != reason:
            _log.error("a source is not mirrored", extra={"source": self.owner.node, "reason": reason})
            self._refusal = Trouble(time.time(), reason)

    # What is written

    async def _write(self) -> None:
        backoff = Backoff(first=0.2, longest=_LONGEST_PAUSE, random=self._random.random)
        while True:
            await self._woken()
            try:
                await self._settle()
                await self._telling.tell(self._trouble)
            except Refusal as refusal:  # somebody else owns it, or has taken its node
                self._refuse(str(refusal))
                return
            except IsThisRegistry as error:
                self._refuse(str(error))
                pause = _REFUSED_PAUSE
            except (HomeportError, StoreError) as error:
                self._unsettled(str(error))
                pause = backoff.next_pause()
            except Exception as error:  # noqa: BLE001 - a defect must not end the source silently
                if self._unsettled(repr(error)):
                    _log.exception("a source was not written; it is tried again", extra={"source": self.owner.node})
                pause = backoff.next_pause()
            else:
                backoff.reset()
                self._unwritten = None
                continue
            await asyncio.sleep(pause)
            self._wake.set()

    def _unsettled(self, reason: str) -> bool:
        """Take note that it could not be written; whether that is news."""
        known = self._unwritten
        self._unwritten = Trouble(time.time() if known is None else known.since, reason)
        return known is None or known.reason != reason

    async def _woken(self) -> None:
        """Return when there is something to do."""
        deadlines = (self._comparison.due_at, self._telling.due_at(self._trouble))
        try:
            async with asyncio.timeout_at(min((at for at in deadlines if at is not None), default=None)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _settle(self) -> None:
        """Write what differs from what the source said, and what is due to go.

        Raises:
            Refusal: another owner writes here now.
            IsThisRegistry: the source is this one now.
            HomeportError: the source cannot be asked who it is.
            StoreError: it could not be written.
        """
        if not self._claimed:
            await self.claim()
        if self._back:
            await self._identify()
            self._back, self._refusal = False, None
        changes = await self._comparison.changes(element=self._identity.element)
        try:
            await self._node.write(changes.put, changes.remove)
        except Exception:
            self._comparison.failed(changes)
            raise
        self._comparison.written(changes)
        self._following.prune(self._comparison.needs)
