"""Answers the endpoints that read: from a request to a question, from the question to its answer, when it has changed.

Each endpoint is a `Question`: what it takes and how its `Rows` are made. Everything else is the same for all of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import msgspec

from homeport.registry.registry import Registry
from homeport.registry.waiting import wait_for_news, with_jitter
from homeport.wire import consul
from homeport.wire.http import HTTPError, Request, Response, Routes

from .blocking import failure_headers, index_headers
from .cache_marks import CacheMarks
from .filter_syntax import FilterError
from .filters import compile_filter
from .large_answers import LargeAnswers
from .parameters import boolean, check_datacenter, node_meta, query_options, refuse_enterprise, required, tags
from .reads import Keep, Rows, Selection

Make = Callable[[str, Selection, Keep | None], Rows]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that reads.

    ``path`` ends in ``/`` when a name follows, and ``name`` then tells what it is. ``row`` is the shape that filter
    expressions are about. What Consul Enterprise has in namespaces refuses to be asked for one here. The rest are the
    parameters that it takes beside those that all take.
    """

    path: str
    make: Make
    row: type[consul.WireShape]
    name: str = ""
    takes_tags: bool = False
    takes_node_meta: bool = False
    takes_passing: bool = False
    takes_cached: bool = False
    in_namespaces: bool = True


class Questions:
    """Answers questions over one registry. ``jitter`` draws a number in [0, 1) for what is added to a wait."""

    def __init__(self, registry: Registry, *, jitter: Callable[[], float] = random.random) -> None:
        self._registry = registry
        self._jitter = jitter
        self._large = LargeAnswers()
        self.marks = CacheMarks()

    def add_to(self, routes: Routes, question: Question) -> None:
        """Let ``routes`` answer a question."""
        routes.add(["GET"], question.path, partial(self.answer, question))

    async def answer(self, question: Question, request: Request) -> Response:
        """Answer a request, once there is something newer than it knows if it asks for that.

        Raises:
            HTTPError: 400 for parameters that cannot be, 500 for another datacenter or a filter that is none.
        """
        refuse_enterprise(request, in_namespaces=question.in_namespaces)
        options = query_options(request)
        try:
            read = self.read_for(question, request)
            if options.after:
                timeout = with_jitter(options.wait, self._jitter())
                await wait_for_news(
                    lambda: read.index() > options.after,
                    lambda: read.topics,
                    timeout=timeout,
                    ending=self._registry.draining,
                )
            index, body = await self._large.make(read) if read.large else (read.index(), read.render())
        except FilterError as error:
            # What an expression costs is found out while it is applied.
            raise HTTPError(500, str(error), headers=failure_headers()) from None
        headers = index_headers(index, options.consistency)
        if options.cached and question.takes_cached:
            headers.extend(self.marks.headers(read.cache_key))
        return Response(body=body, headers=headers)

    def read_for(self, question: Question, request: Request) -> Rows:
        """What a request asks, apart from how long it would wait. Raises `HTTPError`, and `FilterError`."""
        name = required(request.rest, question.name) if question.name else ""
        check_datacenter(request, self._registry.identity.datacenter)
        selection = Selection(
            tags=tags(request) if question.takes_tags else (),
            node_meta=node_meta(request) if question.takes_node_meta else (),
            filter=request.first("filter"),
            peer=request.first("peer"),
        )
        keep = compile_filter(selection.filter, question.row) if selection.filter else None
        if question.takes_passing and boolean(request, "passing"):
            selection = msgspec.structs.replace(selection, passing=True)
        return question.make(name, selection, keep)
