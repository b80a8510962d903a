"""What the beliefs about a service answer to one query."""

from __future__ import annotations

from homeport.model import Instance, Query, Snapshot

from .ledger import Belief
from .selection import Selection


class View:
    """The snapshots of one query, without revisions. Under mass-failure protection, failing instances answer too."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._matching = Selection(query.selects) if query.narrows else None
        self._answering = Selection(query.matches if query.narrows else _passes)

    def of(self, belief: Belief) -> Snapshot:
        """What ``belief`` answers."""
        matching = belief.instances if self._matching is None else self._matching.of(belief)
        wants_all = belief.protected or not self._query.healthy
        return Snapshot(
            service=self._query.service,
            instances=matching if wants_all else self._answering.of(belief),
            registered=len(matching),
            backend=belief.backend,
            stale_since=belief.stale_since,
            reason=belief.reason,
            protected=belief.protected,
        )


def _passes(instance: Instance) -> bool:
    return instance.status == "passing"
