"""Keeps one registration alive, and heals it when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections.abc import AsyncIterator, Callable

from homeport.errors import BackendUnavailable, Conflict, HomeportError, LeaseLost
from homeport.model import Service
from homeport.spi import Lease, Registrar

from .backoff import Backoff
from .reports import Reports
from .settings import ClientSettings

_log = logging.getLogger(__name__)

_SHORTEST_ATTEMPT = 1.0


class Standing(enum.Enum):
    """How a registration stands."""

    NEW = "new"
    REGISTERED = "registered"
    LOST = "lost"
    REPLACED = "replaced"
    CLOSED = "closed"


class Keeper:
    """Renews the lease of one registration at a third of its ttl, counted from the sending of the last success.

    With ``settings.renew_interval`` it renews that often instead, unless the ttl would be over before.

    It registers again when the backend says that the registration is gone, never for another reason. A registration
    that was taken over by another program (same id, another incarnation) is left to it. ``clock`` must run on while
    the machine is suspended.
    """

    def __init__(
        self,
        backend: Registrar,
        service: Service,
        *,
        ttl: float,
        incarnation: str,
        settings: ClientSettings,
        clock: Callable[[], float],
        random: Callable[[], float],
        on_standing: Callable[[Standing, str], None],
        reports: Reports,
    ) -> None:
        self.service = service
        self.standing = Standing.NEW
        self._backend = backend
        self._ttl = ttl
        wished = settings.renew_interval
        self._renew_interval = wished if wished is not None and wished < ttl else ttl / 3
        self._incarnation = incarnation
        self._clock = clock
        self._random = random
        self._on_standing = on_standing
        self._reports = reports
        self._lease: Lease | None = None
        self._renewed_at = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._backoff = Backoff(
            first=min(settings.first_retry_interval, ttl / 3),
            longest=min(settings.longest_retry_interval, ttl / 3),
            random=random,
        )

    async def register(self) -> None:
        """Make the registration.

        Raises:
            HomeportError: the backend cannot be asked, or refuses.
        """
        async with self._one_at_a_time:
            await self._register(self.service)

    async def change(self, change: Callable[[Service], Service]) -> None:
        """Replace the content by what ``change`` makes of it, while nothing else changes it.

        Raises:
            Conflict: another program has taken over the id.
            HomeportError: the backend cannot be asked, or refuses; the content before is kept.
        """
        async with self._one_at_a_time:
            if self.standing is Standing.REPLACED:
                raise Conflict(
                    f'"{self.service.id}" was registered anew by another program; register under another id',
                    backend=self._backend.url,
                )
            await self._register(change(self.service))

    async def deregister(self) -> bool:
        """Remove the registration, if it is still this one; False when it was gone already.

        What is under way is waited for, since a registration that is cancelled half-way could still arrive.
        """
        async with self._one_at_a_time:
            self._stand(Standing.CLOSED, "")
            with self._reports.asking("deregister"):
                return await self._backend.deregister(self.service.id, incarnation=self._incarnation)

    async def keep(self) -> None:
        """Renew and heal until the registration is closed or replaced."""
        if self._lease is None or self._lease.ttl is None:
            return
        pause = self._until_renewal()
        while self.standing in (Standing.REGISTERED, Standing.LOST):
            await asyncio.sleep(pause)
            try:
                await self._renew_or_heal()
            except Conflict as error:
                self._stand(Standing.REPLACED, str(error))
            except HomeportError as error:
                if self._clock() >= self._renewed_at + self._ttl:
                    self._stand(Standing.LOST, str(error))
                pause = self._backoff.next_pause()
            else:
                self._backoff.reset()
                pause = self._until_renewal()

    async def _renew_or_heal(self) -> None:
        async with self._one_at_a_time:
            if self._lease is None or self.standing is Standing.CLOSED:
                return
            sent_at = self._clock()
            try:
                with self._reports.asking("renew"):
                    async with self._attempt():
                        await self._backend.renew(self._lease)
            except LeaseLost as error:
                self._stand(Standing.LOST, str(error))
                async with self._attempt():
                    await self._register(self.service)
            else:
                self._renewed_at = sent_at
                self._stand(Standing.REGISTERED, "")

    async def _register(self, service: Service) -> None:
        sent_at = self._clock()
        # Our registry may answer later than it acts: the lease counts from the sending.
        with self._reports.registering(service.name):
            self._lease = await self._backend.register(service, ttl=self._ttl, incarnation=self._incarnation)
        self._renewed_at = sent_at
        self.service = service
        self._stand(Standing.REGISTERED, "")

    @contextlib.asynccontextmanager
    async def _attempt(self) -> AsyncIterator[None]:
        """A block that fails early enough for another attempt within the lease."""
        seconds = max(_SHORTEST_ATTEMPT, self._ttl / 3)
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise BackendUnavailable(
                f"{self._backend.url} did not answer within {seconds:.2g} s", backend=self._backend.url
            ) from error

    def _until_renewal(self) -> float:
        """Seconds until the next renewal: the interval after the last, a tenth earlier or not."""
        due = self._renewed_at + self._renew_interval * (0.9 + 0.1 * self._random())
        return max(0.0, due - self._clock())

    def _stand(self, standing: Standing, reason: str) -> None:
        if standing is self.standing or self.standing is Standing.CLOSED:
            return
        before, self.standing = self.standing, standing
        fields = {"service": self.service.name, "id": self.service.id, "backend": self._backend.url}
        self._reports.standing(self.service.id, stands=standing is Standing.REGISTERED)
        if standing is Standing.LOST:
            self._reports.lease_lost(self.service.name)
            _log.warning("a registration is lost; it is made again", extra={**fields, "reason": reason})
        elif standing is Standing.REPLACED:
            _log.warning("a registration was taken over by another program", extra={**fields, "reason": reason})
        elif standing is Standing.REGISTERED and before is Standing.LOST:
            _log.info("a lost registration stands again", extra=fields)
        self._on_standing(standing, reason)
