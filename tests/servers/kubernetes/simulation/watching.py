"""Watches: a stream of events from a resourceVersion on (API concepts, "Efficient detection of changes")."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from tests.servers.kubernetes.simulation.kinds import Kind
from tests.servers.kubernetes.simulation.statuses import Refusal, expired, too_large
from tests.servers.kubernetes.simulation.storage import Change, Storage

# As an API server does it: a bookmark about every minute, and one shortly before the end that was asked for.
BOOKMARK_INTERVAL = 60.0
BOOKMARK_BEFORE_END = 2.0
SHORTEST_DEFAULT_TIMEOUT = 1800.0
FRESHNESS_TIMEOUT = 3.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a watch is for."""

    kind: Kind
    selects: Callable[[Mapping[str, Any]], bool]
    resource_version: str = ""
    bookmarks: bool = False
    send_initial_events: bool = False
    timeout: float | None = None


def event(kind: str, found: Mapping[str, Any]) -> bytes:
    """One line of the stream."""
    return json.dumps({"type": kind, "object": found}, separators=(",", ":")).encode() + b"\n"


def bookmark(kind: Kind, revision: int, **annotations: str) -> bytes:
    """A bookmark."""
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if annotations:
        metadata["annotations"] = annotations
    return event("BOOKMARK", {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata, **kind.empty})


def error(refusal: Refusal) -> bytes:
    """A failure inside the stream."""
    return event("ERROR", refusal.status)


async def until_fresh(storage: Storage, revision: int) -> None:
    """Wait a little for a revision that does not exist yet; then 504."""
    deadline = asyncio.get_running_loop().time() + FRESHNESS_TIMEOUT
    while storage.revision < revision:
        if asyncio.get_running_loop().time() > deadline:
            raise too_large(revision, storage.revision)
        await asyncio.sleep(0.05)


async def events(storage: Storage, watched: Watched) -> AsyncGenerator[bytes, None]:
    """The lines of a watch, to its end."""
    kind = watched.kind
    loop = asyncio.get_running_loop()
    began = loop.time()
    timeout = watched.timeout or SHORTEST_DEFAULT_TIMEOUT * (1 + random.random())
    position = int(watched.resource_version or 0)
    signal = storage.watch(kind.plural)
    try:
        if position == 0 or watched.send_initial_events:
            try:
                await until_fresh(storage, position)
            except Refusal as refusal:
                yield error(refusal)
                return
            position = storage.revision
            for _, found in sorted(storage.all(kind.plural).items(), key=itemgetter(0)):
                if watched.selects(found):
                    yield event("ADDED", found)
            if watched.bookmarks:
                yield bookmark(kind, position, **{INITIAL_EVENTS_END: "true"})
        elif position < storage.oldest:
            yield error(expired(f"too old resource version: {position} ({storage.oldest})"))
            return
        started_at = max([position, *(change.revision for change in storage.since(kind.plural, position))])
        bookmark_at = began + BOOKMARK_INTERVAL
        if timeout > BOOKMARK_BEFORE_END:
            bookmark_at = min(bookmark_at, began + timeout - BOOKMARK_BEFORE_END)
        while True:
            for change in storage.since(kind.plural, position):
                position = change.revision
                line = _line(change, watched.selects)
                if line is not None:
                    yield line
            if storage.since(kind.plural, position):
                continue
            signal.clear()
            moment = loop.time()
            if watched.bookmarks and moment >= bookmark_at:
                # Nothing new to tell where nothing happened since the start, nor to who asked for the future.
                if storage.revision > started_at:
                    position = storage.revision
                    yield bookmark(kind, position)
                bookmark_at = moment + BOOKMARK_INTERVAL
            if moment >= began + timeout:
                return
            wait = min(bookmark_at, began + timeout) - moment if watched.bookmarks else began + timeout - moment
            try:
                await asyncio.wait_for(signal.wait(), max(wait, 0.0))
            except TimeoutError:
                continue
    finally:
        storage.unwatch(kind.plural, signal)


def _line(change: Change, selects: Callable[[Mapping[str, Any]], bool]) -> bytes | None:
    was = change.before if change.before is not None and selects(change.before) else None
    is_now = change.after if change.after is not None and selects(change.after) else None
    if is_now is not None:
        return event("ADDED" if was is None else "MODIFIED", is_now)
    if was is not None:
        # What is gone, or is not selected any more, is told as it was last, at the revision of its end.
        return event("DELETED", {**was, "metadata": {**was["metadata"], "resourceVersion": str(change.revision)}})
    return None
