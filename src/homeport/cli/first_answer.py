"""Several backends for a command that reads: each question goes to the first that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from homeport.client.joined_error import joined
from homeport.errors import BackendUnavailable, HomeportError, Unsupported
from homeport.spi import Cursor, Discoverer, Observed, ServiceSummary

T = TypeVar("T")


class FirstAnswer:
    """A `Discoverer` made of several. ``patience`` is how many seconds each may take before the next one is asked."""

    def __init__(self, backends: Sequence[Discoverer], *, patience: float) -> None:
        self._backends = backends
        self._patience = patience
        self._answered: Discoverer | None = None

    @property
    def url(self) -> str:
        """The URL of the one that answered, of all before any did."""
        if self._answered is not None:
            return self._answered.url
        return ", ".join(backend.url for backend in self._backends)

    @property
    def watch_limit(self) -> int | None:
        """None, since nothing is watched."""
        return None

    async def ping(self) -> Mapping[str, str]:
        """Facts about the first that answers."""
        return await self._first(lambda backend: backend.ping())

    async def aclose(self) -> None:
        """Release all of them."""
        for backend in self._backends:
            await backend.aclose()

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now; that there are none is an answer too."""
        return await self._first(lambda backend: backend.fetch(service, datacenter=datacenter))

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Not for one command: `homeport.Discovery` follows a chain.

        Raises:
            Unsupported: always.
        """
        del service, datacenter, after
        for _ in ():
            yield Observed(instances=())
        raise Unsupported("several backends at once are not watched; name one --backend", backend=self.url)

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name."""
        return await self._first(lambda backend: backend.services(datacenter=datacenter))

    async def _first(self, ask: Callable[[Discoverer], Awaitable[T]]) -> T:
        """The answer of the one that answered before, or else of the first that does.

        Raises:
            HomeportError: none does.
        """
        errors: list[HomeportError] = []
        for backend in self._backends if self._answered is None else (self._answered,):
            try:
                async with asyncio.timeout(self._patience):
                    answer = await ask(backend)
            except TimeoutError:
                text = f"{backend.url} did not answer within {self._patience:g} s"
                errors.append(BackendUnavailable(text, backend=backend.url))
            except HomeportError as error:
                errors.append(error)
            else:
                self._answered = backend
                return answer
        raise joined(errors)
