"""Telling, on the node of a source, how far what stands there is to be trusted."""

from __future__ import annotations

import asyncio
import logging

from .description import confirmed, unconfirmed
from .following import Trouble
from .node import SourceNode

_log = logging.getLogger(__name__)
_TOLD_AFTER = 2.0
"""Seconds after which trouble is written onto the node; what is over sooner wakes nobody."""


class Telling:
    """Tells of trouble that lasts, and of its end. Of an outage only the first reason is told."""

    def __init__(self, node: SourceNode) -> None:
        self._node = node
        self._troubled_at: float | None = None

    def due_at(self, trouble: Trouble | None) -> float | None:
        """The time of the loop at which this trouble is to be told, None if there is none or one is told already."""
        if trouble is None:
            self._troubled_at = None
            return None
        if self._said() != confirmed(self._node.url):
            return None
        if self._troubled_at is None:
            self._troubled_at = asyncio.get_running_loop().time()
        return self._troubled_at + _TOLD_AFTER

    async def tell(self, trouble: Trouble | None) -> None:
        """Write what there is to be told now, if that is not what the node says.

        Raises:
            Refusal, StoreError: it could not be written.
        """
        due_at = self.due_at(trouble)
        fields = {"source": self._node.owner.node, "backend": self._node.url}
        if trouble is None:
            if self._said() != confirmed(self._node.url):
                await self._node.describe(confirmed(self._node.url))
                _log.info("a source is confirmed", extra=fields)
        elif due_at is not None and asyncio.get_running_loop().time() >= due_at:
            await self._node.describe(unconfirmed(self._node.url, trouble.since, trouble.reason))
            _log.warning("a source is not confirmed", extra={**fields, "reason": trouble.reason})

    def _said(self) -> str:
        return self._node.description or confirmed(self._node.url)  # without one, nothing was written there yet
