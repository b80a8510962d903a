"""Changes of many services in one request, so that who follows a thousand needs one connection, not a thousand."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import msgspec

from homeport.registry.catalog import ServiceIndex
from homeport.registry.registry import Registry
from homeport.registry.waiting import wait_for_news, with_jitter
from homeport.wire.http import HTTPError, Request, Response, Routes

from .waiting import Patience, patience

MOST_SERVICES = 10_000
_ASKED = msgspec.json.Decoder(dict[str, int])
_ENCODER = msgspec.json.Encoder()


class Changes:
    """``/v1/homeport/services/changes``. ``jitter`` draws a number in [0, 1) for what is added to a waiting time."""

    def __init__(self, registry: Registry, *, jitter: Callable[[], float] = random.random) -> None:
        self._registry = registry
        self._jitter = jitter

    def routes(self) -> Routes:
        """All endpoints."""
        routes = Routes()
        routes.add(["POST"], "/v1/homeport/services/changes", self.changes)
        return routes

    async def changes(self, request: Request) -> Response:
        """``POST /v1/homeport/services/changes?wait``: which of the services in the body moved beyond their index.

        The body maps names to indexes as ``health/service`` gives them (``{"billing": 17, "users": 42}``), and so does
        the answer: those that moved, with what they stand at now. It comes as soon as any moved, or empty when the
        time is over. With ``store`` in the query, the identity of the data in which these indexes count, all of them
        are in the answer at once if the registry holds other data by now.
        """
        asked = _asked(request.body)
        store = request.first("store")
        indexes = {name: self._registry.catalog.service_index(name) for name in asked}
        if store and store != self._registry.identity.id:
            moved = {name: index.everything.revision for name, index in indexes.items()}
        else:
            moved = await self._wait(asked, indexes, patience(request))
        return Response(body=_ENCODER.encode(moved))

    async def _wait(
        self, asked: Mapping[str, int], indexes: Mapping[str, ServiceIndex], waiting: Patience
    ) -> dict[str, int]:
        # An index object stays the same when its service comes or goes, as long as it is held here.
        topics = [index.everything for index in indexes.values()]

        def moved() -> dict[str, int]:
            revisions = ((name, index.everything.revision) for name, index in indexes.items())
            return {name: revision for name, revision in revisions if revision > asked[name]}

        timeout = with_jitter(waiting.timeout, self._jitter())
        return await wait_for_news(moved, lambda: topics, timeout=timeout, ending=self._registry.draining)


def _asked(body: bytes) -> dict[str, int]:
    try:
        asked = _ASKED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPError(400, f"the body must map names of services to indexes: {error}") from None
    if not asked or len(asked) > MOST_SERVICES:
        raise HTTPError(400, f"the body names {len(asked)} services; it must be 1 to {MOST_SERVICES}")
    if min(asked.values()) < 0:
        raise HTTPError(400, "an index in the body is below 0")
    return asked
