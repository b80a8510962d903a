"""Who the source is, as the path of mirrored rows says it."""

from __future__ import annotations

from homeport.errors import PermissionDenied
from homeport.spi import Discoverer


class IsThisRegistry(Exception):
    """The source is this registry itself."""


class Identity:
    """The identity of a source: that of its store, or its URL where a system has none.

    It is asked for again after `doubt`: whoever answers after an outage may be another one.
    """

    def __init__(self, backend: Discoverer, *, registry: str) -> None:
        self.element = ""
        """What stands for it in paths, empty while that is not known."""
        self._backend = backend
        self._registry = registry
        self._known = False

    def doubt(self) -> None:
        """It may be another one from now on."""
        self._known = False

    async def find_out(self) -> bool:
        """Ask the source who it is, unless that is known; whether it is another one than it was.

        Raises:
            IsThisRegistry: it is ours, the one named ``registry``.
            HomeportError: nobody answers.
        """
        if self._known:
            return False
        try:
            facts = await self._backend.ping()
        except PermissionDenied:
            facts = {}  # what may be read is seen when it is
        store = facts.get("store", "")
        if store == self._registry:
            raise IsThisRegistry(f"{self._backend.url} is this registry itself")
        before, self.element, self._known = self.element, store or self._backend.url, True
        return before not in ("", self.element)
