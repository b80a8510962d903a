"""Checks over all services: how they are, running one now, and what became of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from homeport.registry.health import Health
from homeport.registry.records import CheckRecord, Entry
from homeport.registry.registry import Registry
from homeport.wire import golang
from homeport.wire.http import HTTPError, Request, Response, Routes

from .check_rows import check_row, transition_row

T = TypeVar("T")
_STATUSES = ("passing", "warning", "critical")
_ROWS_A_TURN = 500


class Checks:
    """``/v1/homeport/check…``."""

    def __init__(self, registry: Registry, health: Health) -> None:
        self._registry = registry
        self._health = health

    def routes(self) -> Routes:
        """All endpoints."""
        routes = Routes()
        routes.add(["GET"], "/v1/homeport/checks", self.listing)
        routes.add(["PUT"], "/v1/homeport/check/run/", self.run)
        routes.add(["GET"], "/v1/homeport/check/history", self.history)
        return routes

    async def listing(self, request: Request) -> Response:
        """``GET /v1/homeport/checks?service=&status=``: by node and id; of a service, those of its instances."""
        service, status = request.first("service"), request.first("status")
        if status and status not in _STATUSES:
            raise HTTPError(400, f"{golang.quote(status)} is not a status; use one of {', '.join(_STATUSES)}")
        found = (entry for entry in self._entries(service) if not status or entry.value.status == status)
        return Response(body=await _list(found, self._row))

    async def run(self, request: Request) -> Response:
        """``PUT /v1/homeport/check/run/:check_id``: runs a check of the agent's node now, and answers its new state."""
        return Response(body=golang.encode(check_row(await self._health.run_now(request.rest))))

    async def history(self, request: Request) -> Response:
        """``GET /v1/homeport/check/history?service=&since=``: the changes of status since a Unix time, oldest first."""
        past = await self._health.history(service=request.first("service"), since=_since(request))
        return Response(body=await _list(iter(past), transition_row))

    def _entries(self, service: str) -> Iterator[Entry]:
        catalog = self._registry.catalog
        if not service:
            yield from catalog.check_entries()
        for instance in catalog.instances(service) if service else ():
            yield from catalog.service_checks(instance.value.node, instance.value.id)

    def _row(self, entry: Entry) -> Any:
        check: CheckRecord = entry.value
        view = self._health.live(check.id, node=check.node)
        return None if view is None else check_row(view)


async def _list(items: Iterator[T], row: Callable[[T], Any]) -> bytes:
    """The rows of many items as one list, made in slices between which others have the loop."""
    slices: list[bytes] = []
    found: Sequence[T] = list(items)
    rest = iter(found)
    while part := list(islice(rest, _ROWS_A_TURN)):
        # What went meanwhile has no row any more.
        slices.append(golang.encode([made for made in map(row, part) if made is not None])[1:-1])
        if len(found) > _ROWS_A_TURN:
            await asyncio.sleep(0)
    return b"[" + b",".join(filter(None, slices)) + b"]"


def _since(request: Request) -> float:
    text = request.first("since", "0")
    try:
        since = float(text)
    except ValueError:
        since = math.nan
    if not math.isfinite(since):
        raise HTTPError(400, f"since is {golang.quote(text)}; give a Unix time in seconds")
    return since
