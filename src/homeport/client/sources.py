"""The upstreams of one backend, shared by all watches."""

from __future__ import annotations

from collections.abc import Callable

from homeport.spi import Discoverer

from .settings import ClientSettings
from .tasks import Tasks
from .turns import Turns
from .upstream import Upstream


class Sources:
    """One upstream for each datacenter and service that anybody watches."""

    def __init__(
        self, backend: Discoverer, *, settings: ClientSettings, tasks: Tasks, random: Callable[[], float]
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._tasks = tasks
        self._random = random
        self._turns = Turns(backend.watch_limit, turn_time=settings.turn_time)
        self._upstreams: dict[tuple[str, str], Upstream] = {}

    @property
    def url(self) -> str:
        """The backend's URL."""
        return self._backend.url

    def share(self, service: str, datacenter: str) -> Upstream:
        """The upstream of a service, made if there is none."""
        upstream = self._upstreams.get((datacenter, service))
        if upstream is None:
            upstream = self._upstreams[datacenter, service] = Upstream(
                self._backend,
                service,
                datacenter=datacenter,
                settings=self._settings,
                turns=self._turns,
                tasks=self._tasks,
                random=self._random,
            )
        return upstream

    async def give_back(self, upstream: Upstream) -> None:
        """End an upstream if nobody listens to it any more."""
        if upstream.used:
            return
        for key, known in tuple(self._upstreams.items()):
            if known is upstream:
                del self._upstreams[key]
        await upstream.aclose()

    def written(self, service: str | None = None) -> list[Upstream]:
        """Tell the upstreams of that name (None: all of them) that this process wrote; returns them."""
        concerned = [upstream for (_, name), upstream in self._upstreams.items() if service in (None, name)]
        for upstream in concerned:
            upstream.written()
        return concerned

    def __len__(self) -> int:
        return len(self._upstreams)
