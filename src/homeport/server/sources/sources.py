"""All sources of a registry: begun, listened to for conflicts, and ended together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from types import TracebackType
from typing import Self, TypeAlias

from homeport.backends.opening import open_backend
from homeport.client.backoff import Backoff
from homeport.client.tasks import Tasks
from homeport.connections.backend_url import UnknownParameter
from homeport.errors import SettingsError
from homeport.registry.mirroring import Owner, give_up, write
from homeport.registry.records import SERVICES, SourceRecord, table_of
from homeport.registry.registry import Registry
from homeport.registry.source_status import SourceStatus
from homeport.registry.store.contract import StoreError
from homeport.registry.store.memory_image import Change
from homeport.registry.store.transaction import Refusal
from homeport.spi import Backend, Discoverer

from .mirror import Mirror
from .settings import SourceSettings, node_name, unknown_setting

Opening: TypeAlias = Callable[[str, Mapping[str, str]], Backend]
"""Makes a backend of its URL and the environment, and connects to nothing yet."""

_log = logging.getLogger(__name__)
_REMOVED_AT_ONCE = 30
_LONGEST_PAUSE = 2.0


class Sources:
    """Mirrors the sources of the settings into the registry; use as ``async with``, while it is open.

    What was mirrored from a source that is not in the settings any more is removed first, or as soon as the store can.
    ``opening`` makes a backend of a URL.
    """

    def __init__(
        self, registry: Registry, settings: Sequence[SourceSettings], *, environ: Mapping[str, str],
        random: Random | None = None, opening: Opening = open_backend,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._settings = tuple(settings)
        self._environ = environ
        self._random = random or Random()
        self._opening = opening
        self._mirrors: list[Mirror] = []
        self._tasks = Tasks()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Claim the nodes of all sources and begin.

        Raises:
            SettingsError: a URL cannot be right, two sources have one name, or a node of that name is no source.
            MissingExtra: a backend needs what is not installed.
        """
        async with contextlib.AsyncExitStack() as stack:
            opened: list[tuple[SourceSettings, Discoverer, str]] = []
            for settings in self._settings:
                backend = self._open(settings)
                stack.push_async_callback(backend.aclose)
                opened.append((settings, backend, node_name(settings, backend.url)))
            stack.push_async_callback(self._tasks.aclose)
            nodes = [node for _, _, node in opened]
            for node in nodes:
                if [one.lower() for one in nodes].count(node.lower()) > 1:
                    raise SettingsError(f'two sources have the name "{node}"; give each one of its own, by name=')
            await self._give_up_all_but({node.lower() for node in nodes})
            token = uuid.uuid4().hex
            for place, (settings, backend, node) in enumerate(opened):
                behind = frozenset(one.lower() for one in nodes[place + 1 :])
                mirror = Mirror(
                    self._registry, settings, backend, owner=Owner(node, token), behind=behind, random=self._random
                )
                await self._claim(mirror)
                self._mirrors.append(mirror)
            stack.pop_all()
        if self._mirrors:
            self._registry.catalog.on_change(self._changed)
        for mirror in self._mirrors:
            mirror.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        await self._tasks.aclose()
        for mirror in self._mirrors:
            await mirror.aclose()

    def statuses(self) -> list[SourceStatus]:
        """How each of them fares, in the order of the settings."""
        return [mirror.status() for mirror in self._mirrors]

    def _open(self, settings: SourceSettings) -> Discoverer:
        try:
            backend = self._opening(settings.url, self._environ)
        except UnknownParameter as error:
            raise unknown_setting(error) from error
        if not isinstance(backend, Discoverer):
            raise SettingsError(f"the source {backend.url} does not find services")
        return backend

    async def _claim(self, mirror: Mirror) -> None:
        try:
            await mirror.claim()
        except Refusal as refusal:
            raise SettingsError(str(refusal)) from None
        except StoreError as error:
            # The registry can be read meanwhile.
            fields = {"source": mirror.owner.node, "reason": str(error)}
            _log.warning("a source cannot be written yet; that is tried again", extra=fields)

    async def _give_up_all_but(self, nodes: set[str]) -> None:
        """Remove what is mirrored from sources that are no more, in parts, so that nobody waits for long."""
        found: list[SourceRecord] = [entry.value for entry in self._registry.catalog.image.group(("src",)).values()]
        for source in found:
            if source.node.lower() in nodes:
                continue
            try:
                await self._give_up(source)
            except StoreError as error:
                fields = {"source": source.node, "reason": str(error)}
                _log.warning("what was mirrored cannot be removed yet; that is tried again", extra=fields)
                self._tasks.launch(self._give_up_later(source), name=f"homeport source {source.node} is given up")

    async def _give_up_later(self, source: SourceRecord) -> None:
        backoff = Backoff(first=0.2, longest=_LONGEST_PAUSE, random=self._random.random)
        while True:
            await asyncio.sleep(backoff.next_pause())
            with contextlib.suppress(StoreError):
                await self._give_up(source)
                return

    async def _give_up(self, source: SourceRecord) -> None:
        ids = [entry.value.id for entry in self._registry.catalog.services_of(source.node)]
        for start in range(0, len(ids), _REMOVED_AT_ONCE):
            await self._remove(source, ids[start : start + _REMOVED_AT_ONCE])
        await self._registry.transact(partial(give_up, node=source.node))
        fields = {"source": source.node, "backend": source.url, "instances": len(ids)}
        _log.info("a source is no longer configured; what was mirrored from it is removed", extra=fields)

    async def _remove(self, source: SourceRecord, ids: Sequence[str]) -> None:
        owner, now = Owner(source.node, source.owner), self._registry.clock()
        await self._registry.transact(partial(write, owner=owner, remove=ids, now=now))

    def _changed(self, _revision: int, changes: Sequence[Change]) -> None:
        """Tell each source what others wrote about a service that it may have too."""
        if self._closed:
            return
        for change in changes:
            entry = change.after or change.before
            if entry is None or table_of(entry.key) is not SERVICES:
                continue
            for record in (change.before, change.after):
                if record is not None:
                    name, node = record.value.name.lower(), record.value.node.lower()
                    for mirror in self._mirrors:
                        if mirror.owner.node.lower() != node:
                            mirror.noticed(name)
