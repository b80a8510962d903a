"""What all watches of one `Discovery` share: its backends, and the services of them that anybody follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from homeport.errors import HomeportError
from homeport.spi import Backend, Discoverer, ServiceSummary

from .answers import Answers
from .chain import Chain
from .joined_error import joined
from .ledger import Belief
from .origin import Origin
from .reports import Reports
from .resilience.traffic import Traffic
from .settings import ClientSettings
from .subject import Subject
from .tasks import Tasks

T = TypeVar("T")


class Sources:
    """One chain for each datacenter and service that anybody watches.

    ``backends`` stand in order of preference; ``writer`` is the one that takes the registrations of this process.
    """

    def __init__(
        self,
        backends: Sequence[Discoverer],
        *,
        writer: Backend | None,
        settings: ClientSettings,
        tasks: Tasks,
        random: Callable[[], float],
        clock: Callable[[], float],
        reports: Reports,
    ) -> None:
        self._origins = [Origin(backend) for backend in backends]
        self._writer = next((place for place, one in enumerate(backends) if one is writer), None)
        self._settings = settings
        self._tasks = tasks
        self._random = random
        self._clock = clock
        self._reports = reports
        self._chains: dict[tuple[str, str], Chain] = {}
        self.answers = Answers(self.url, traffic=self._traffic, unused_for=settings.idle_timeout)

    @property
    def url(self) -> str:
        """The URL of the first backend."""
        return self._origins[0].url

    def share(self, service: str, datacenter: str) -> Chain:
        """The chain of a service, made if there is none."""
        chain = self._chains.get((datacenter, service))
        if chain is None:
            chain = self._chains[datacenter, service] = Chain(
                self._origins,
                service,
                datacenter=datacenter,
                writer=self._writer,
                traffic=self._traffic(service, datacenter),
                settings=self._settings,
                tasks=self._tasks,
                random=self._random,
                reports=self._reports,
            )
        return chain

    async def give_back(self, subject: Subject) -> None:
        """End a chain if nobody listens to it any more."""
        for key, chain in tuple(self._chains.items()):
            if chain is subject and not chain.used:
                del self._chains[key]
                await chain.aclose()

    def written(self, service: str | None = None) -> list[Chain]:
        """Tell the chains of that name (None: all of them) that this process wrote; returns them."""
        concerned = [chain for (_, name), chain in self._chains.items() if service in (None, name)]
        for chain in concerned:
            chain.written()
        return concerned

    async def fetch(self, service: str, *, datacenter: str) -> Belief:
        """The instances of a service now, of the first backend that answers.

        Raises:
            HomeportError: every backend failed.
        """
        origin, observed = await self._first(lambda backend: backend.fetch(service, datacenter=datacenter))
        return Belief(instances=observed.instances, protected=observed.protected, backend=origin.url)

    async def services(self, *, datacenter: str) -> Sequence[ServiceSummary]:
        """All services, by name, of the first backend that answers.

        Raises:
            HomeportError: every backend failed.
        """
        _, found = await self._first(lambda backend: backend.services(datacenter=datacenter))
        return found

    async def _first(self, ask: Callable[[Discoverer], Awaitable[T]]) -> tuple[Origin, T]:
        """The first backend that answers, and what it answers."""
        errors: list[HomeportError] = []
        for origin in self._origins:
            try:
                answer = await ask(origin.backend)
            except HomeportError as error:
                origin.failed()
                errors.append(error)
            else:
                origin.answered()
                return origin, answer
        raise joined(errors)

    def _traffic(self, service: str, datacenter: str) -> Traffic:
        """What all callers of a service share, whether or not it is followed."""
        known = self._chains.get((datacenter, service)) or self.answers.known(service, datacenter)
        if known is not None:
            return known.traffic
        return Traffic(
            service,
            ejection=self._settings.ejection,
            circuit=self._settings.circuit,
            retry=self._settings.retry,
            clock=self._clock,
            reports=self._reports,
        )

    def __len__(self) -> int:
        return len(self._chains)
