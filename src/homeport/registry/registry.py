"""The registry as one object: the store, the ledger over it, the catalog folded from it, and who it is."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Self, TypeVar

from .catalog import Catalog
from .checks import put_check
from .nodes import put_node
from .records import NODES, STORE, CheckRecord, NodeRecord, StoreRecord
from .store.contract import Store, StoreError
from .store.ledger import Ledger, Outcome
from .store.memory_image import Change
from .store.transaction import Refusal, Transaction
from .topics import Topic, Wakeups

T = TypeVar("T")
_log = logging.getLogger(__name__)
SERF_HEALTH = "serfHealth"


class Registry:
    """One logical agent over one store. Use as ``async with``; everything belongs to that event loop.

    ``node`` and ``datacenter`` are taken from the store when it has them; naming others is refused, since all
    replicas of a store are one agent. ``clock`` gives Unix seconds.
    """

    def __init__(
        self, store: Store, *, node: str | None = None, datacenter: str | None = None, address: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.wakeups = Wakeups()
        self.ledger = Ledger(store, self._fold)
        self.catalog = Catalog(self.ledger.image, self.wakeups)
        self.clock = clock
        self.address = address
        self.draining = Topic()
        """Moves once, when the server begins to end: whoever waits should answer with what there is."""
        self._asked = (node, datacenter)
        self._identity: StoreRecord | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def identity(self) -> StoreRecord:
        """Who this registry is: store id, node, node id, datacenter."""
        assert self._identity is not None, "open() comes first"
        return self._identity

    @property
    def node(self) -> str:
        """The name of the one agent."""
        return self.identity.node

    async def open(self) -> None:
        """Open the store and make sure that the agent's node is in it.

        Raises:
            StoreError: the store cannot be opened, or belongs to another node or datacenter.
        """
        await self.ledger.open()
        try:
            self._identity = (await self.transact(self._identify)).value
        except Refusal as refusal:
            await self.ledger.aclose()
            raise StoreError(str(refusal)) from None
        except BaseException:
            await self.ledger.aclose()
            raise
        _log.info("registry open", extra={"store": self.ledger.store.description, "revision": self.catalog.revision})

    async def aclose(self) -> None:
        """Commit what waits and close the store."""
        await self.ledger.aclose()

    async def transact(self, execute: Callable[[Transaction], T]) -> Outcome[T]:
        """Run a transaction; see `Ledger.transact`."""
        return await self.ledger.transact(execute)

    def drain(self) -> None:
        """Let everybody who waits for a change answer now; from here on nobody should wait."""
        self.wakeups.move(self.draining, 1)

    def _fold(self, revision: int, changes: list[Change]) -> None:
        self.catalog.fold(revision, changes)

    def _identify(self, transaction: Transaction) -> StoreRecord:
        node, datacenter = self._asked
        identity = transaction.get(STORE, "identity")
        if identity is None:
            identity = StoreRecord(
                id=str(uuid.uuid4()), node=node or "homeport", node_id=str(uuid.uuid4()), datacenter=datacenter or "dc1"
            )
            transaction.put(STORE, identity)
        for asked, stored, word in ((node, identity.node, "node"), (datacenter, identity.datacenter, "datacenter")):
            if asked is not None and asked != stored:
                raise Refusal(
                    f'this store belongs to the {word} "{stored}", not "{asked}";'
                    f" use --{word} {stored} or another store"
                )
        self._place_agent(transaction, identity)
        return identity

    def _place_agent(self, transaction: Transaction, identity: StoreRecord) -> None:
        known = transaction.get(NODES, identity.node)
        node = NodeRecord(
            name=identity.node, id=identity.node_id, address=self.address,
            tagged_addresses=dict.fromkeys(("lan", "lan_ipv4", "wan", "wan_ipv4"), self.address),
            meta=known.meta if known else {"consul-network-segment": ""},
        )  # fmt: skip
        put_node(transaction, node)
        health = CheckRecord(
            node=identity.node,
            id=SERF_HEALTH,
            name="Serf Health Status",
            status="passing",
            output="Agent alive and reachable",
        )
        put_check(transaction, health, now=self.clock(), keeps_state=False)
