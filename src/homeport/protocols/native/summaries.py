"""One line for every service: how many instances it has, and how they are.

A line is counted anew only when something of its service moved, so that a change costs what changed and not the whole
catalog.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from homeport.model import Status
from homeport.registry.catalog import Catalog
from homeport.registry.records import Entry
from homeport.registry.topics import Topic
from homeport.wire import golang

_STEPS_A_TURN = 5000
_STEPS_AN_INSTANCE = 10
_WORST = {"passing": 0, "warning": 1, "critical": 2}
_STATUSES: Sequence[Status] = ("passing", "warning", "critical")


class ServiceSummary(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A service, and how many instances have which status: the worst of all checks of the instance and its node."""

    name: str
    tags: Sequence[str]
    instances: int
    passing: int
    warning: int
    critical: int


class _Line(msgspec.Struct, frozen=True):
    revision: int
    text: bytes


class Summaries:
    """The summaries of all services, kept encoded. Belongs to the event loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lines: dict[str, _Line] = {}
        self._index = 0
        self._body = b"[]"
        self._building = asyncio.Lock()

    @property
    def topics(self) -> Sequence[Topic]:
        """All that can change an answer."""
        catalog = self._catalog
        return (catalog.services, catalog.checks, catalog.nodes)

    def index(self) -> int:
        """The index of an answer given now."""
        return max(topic.revision for topic in self.topics)

    async def answer(self) -> tuple[int, bytes]:
        """All summaries by name, as JSON, and the index up to which they are complete.

        Counting yields to others every few hundred instances; what changes meanwhile may be in it or not, which is why
        the index is the one from before.
        """
        async with self._building:
            index = self.index()
            if index != self._index:
                await self._build()
                self._index = index
            return index, self._body

    async def _build(self) -> None:
        lines: dict[str, _Line] = {}
        steps = 0
        for name in self._catalog.service_names():
            revision = self._catalog.service_index(name).everything.revision
            line = self._lines.get(name)
            if line is None or line.revision != revision:
                summary = _summary(self._catalog, name)
                if not summary.instances:
                    continue  # it went while we counted
                line = _Line(revision, golang.encode(summary))
                steps += summary.instances * _STEPS_AN_INSTANCE
            lines[name] = line
            steps += 1
            if steps >= _STEPS_A_TURN:
                steps = 0
                await asyncio.sleep(0)
        self._lines = lines
        self._body = b"[" + b",".join(line.text for line in lines.values()) + b"]"


def _summary(catalog: Catalog, name: str) -> ServiceSummary:
    counts = {"passing": 0, "warning": 0, "critical": 0}
    of_nodes: dict[str, int] = {}
    found = catalog.instances(name)
    for entry in found:
        node: str = entry.value.node
        worst = of_nodes.get(node)
        if worst is None:
            worst = of_nodes[node] = _worst(catalog.node_checks(node))
        counts[_STATUSES[max(worst, _worst(catalog.service_checks(node, entry.value.id)))]] += 1
    return ServiceSummary(name=name, tags=catalog.tags(name), instances=len(found), **counts)


def _worst(checks: Iterable[Entry]) -> int:
    return max((_WORST[check.value.status] for check in checks), default=0)
