"""Keeps the objects of one kind in one namespace up to date in a mirror: a list, and then the changes since.

A watch is asked to end after a while. That it ends then, or says something, is the proof that it lives; it goes on from
the version that it has come to, which costs the API server nothing but a request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic, TypeVar

from homeport.errors import BackendUnavailable

from .api import Gone, KubernetesAPI
from .facts import key_of
from .kinds import Kind
from .mirror import Facts, Mirror
from .shapes import KubernetesObject

T = TypeVar("T", bound=KubernetesObject)

_MOST_SHORT_WATCHES = 3


class Reflector(Generic[T]):
    """``facts_of`` makes facts of the class ``facts`` of an object; ``told`` hears which services may have changed.

    ``version`` is how far it has come, and ``rounds`` how often the API server has confirmed that nothing is missing.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        mirror: Mirror,
        kind: Kind[T],
        namespace: str,
        *,
        facts: type[Facts],
        facts_of: Callable[[T], Facts],
        told: Callable[[set[str]], None],
        confirmed: Callable[[], None],
        selector: str = "",
    ) -> None:
        self._api = api
        self._mirror = mirror
        self._kind = kind
        self._namespace = namespace
        self._facts = facts
        self._facts_of = facts_of
        self._told = told
        self._confirmed = confirmed
        self._selector = selector
        self.version = 0
        self.rounds = 0

    async def list(self) -> None:
        """Read all objects.

        Raises:
            BackendError: they cannot be read, or are those of other data than before.
        """
        listed = await self._api.list(self._kind, self._namespace, selector=self._selector)
        if listed.resource_version < self.version:
            raise BackendUnavailable(
                f"the versions of {self._kind.plural} in {self._api.url} went back: the cluster lost its data, or they "
                "were restored",
                backend=self._api.url,
            )
        self.version = listed.resource_version
        touched = self._mirror.replace(self._facts, self._namespace, map(self._facts_of, listed.items))
        if touched:
            self._told(touched)

    async def follow(self) -> None:
        """Follow the changes since the list.

        Raises:
            BackendError: that is not possible any more.
        """
        seconds = self._api.settings.confirm_interval
        loop = asyncio.get_running_loop()
        short = 0
        while True:
            began = loop.time()
            try:
                useful = await self._watch(seconds)
            except Gone:
                await self.list()
                continue
            short = 0 if useful or loop.time() - began >= seconds / 2 else short + 1
            if short > _MOST_SHORT_WATCHES:
                raise BackendUnavailable(
                    f"the API server of {self._api.url} ends each watch of {self._kind.plural} at once; try again.",
                    backend=self._api.url,
                )
            self.rounds += 1
            self._confirmed()

    async def _watch(self, seconds: float) -> bool:
        """Follow one watch to its end; whether it said anything."""
        watching = await self._api.watch(
            self._kind, self._namespace, after=self.version, seconds=seconds, selector=self._selector
        )
        useful = False
        with contextlib.closing(watching):
            while (events := await watching.next()) is not None:
                useful = True
                touched: set[str] = set()
                for event in events:
                    metadata = event.object.metadata
                    self.version = self._api.resource_version(watching.origin, metadata.resource_version)
                    if event.type == "DELETED":
                        touched |= self._mirror.remove(self._facts, key_of(metadata))
                    elif event.type != "BOOKMARK":
                        touched |= self._mirror.put(self._facts_of(event.object))
                if touched:
                    self._told(touched)
        return useful
