"""Registering what files define: all of it at the start of a program, and again whenever it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from homeport.errors import BackendError, HomeportError
from homeport.model import Service

from .configuration.policy import RegistrationPolicy
from .discovery import Discovery
from .keeper import Standing
from .registration import OnStanding, Registration

_log = logging.getLogger(__name__)

Done: TypeAlias = Literal["registered", "updated", "deregistered"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, or with ``error`` was tried in vain; ``service`` is as complete as it is known."""

    done: Done
    service: Service
    error: HomeportError | None = None


class AutomaticRegistrations:
    """The registrations of a `Discovery` that follow what is wanted, by keys that the caller chooses.

    They are kept alive by the `Discovery`, and are over with it at the latest.
    """

    def __init__(self, discovery: Discovery, *, ttl: float, on_change: OnStanding | None = None) -> None:
        self._discovery = discovery
        self._ttl = ttl
        self._on_change = on_change
        self._kept: dict[str, tuple[Service, Registration]] = {}

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """Those that were made."""
        return tuple(registration for _, registration in self._kept.values())

    async def apply(self, wanted: Mapping[str, Service]) -> list[Change]:
        """Deregister what is wanted no more, register what is new, and change what is wanted otherwise.

        A registration or change that fails is tried again by the next call; what could not be deregistered is left to
        its lease. A registration that another program has taken over is left to it until its definition changes.
        """
        changes: list[Change] = []
        for key in [key for key in self._kept if key not in wanted]:
            changes += await self._drop(key)
        for key, service in wanted.items():
            changes += await self._want(key, service)
        return changes

    async def _want(self, key: str, service: Service) -> list[Change]:
        known = self._kept.get(key)
        if known is None:
            return [await self._register(key, service)]
        before, registration = known
        if before == service:
            return []
        in_place = (before.name, before.id) == (service.name, service.id)
        if in_place and registration.standing is not Standing.REPLACED:
            return [await self._update(key, service, registration)]
        return [*await self._drop(key), await self._register(key, service)]

    async def _register(self, key: str, service: Service) -> Change:
        registration = self._discovery.register(service, ttl=self._ttl, on_change=self._on_change)
        try:
            await registration.begin()
        except HomeportError as error:
            return Change(done="registered", service=service, error=error)
        self._kept[key] = (service, registration)
        return Change(done="registered", service=registration.service)

    async def _update(self, key: str, service: Service, registration: Registration) -> Change:
        try:
            complete = await self._discovery.completed(service)
            meta = {
                name: value for name, value in complete.meta.items() if name != "started_at" or name in service.meta
            }
            await registration.update(
                address=complete.address, port=complete.port, tags=complete.tags, meta=meta, weight=complete.weight,
                version=complete.version, environment=complete.environment, checks=complete.checks,
            )  # fmt: skip
        except HomeportError as error:
            return Change(done="updated", service=registration.service, error=error)
        self._kept[key] = (service, registration)
        return Change(done="updated", service=registration.service)

    async def _drop(self, key: str) -> list[Change]:
        _, registration = self._kept.pop(key)
        try:
            removed = await registration.close()
        except HomeportError as error:
            return [Change(done="deregistered", service=registration.service, error=error)]
        return [Change(done="deregistered", service=registration.service)] if removed else []


def stable_id(service: Service) -> str:
    """An id made of name, address and port: the same each time the same is registered."""
    place = service.address.replace(":", "-")
    return f"{service.name}-{place}-{service.port}"


async def register_all(
    registrations: AutomaticRegistrations,
    wanted: Callable[[], Awaitable[Mapping[str, Service]]],
    *,
    policy: RegistrationPolicy,
) -> None:
    """Register what is ``wanted``; what fails for want of a backend is tried again as the policy says.

    Raises:
        HomeportError: something could not be registered, however often it was tried.
    """
    for left in range(policy.retry_attempts, -1, -1):
        try:
            changes = await registrations.apply(await wanted())
            failures = [change.error for change in changes if change.error is not None]
        except BackendError as error:
            failures = [error]
        if not failures:
            return
        lasting = _lasting(failures)
        if lasting is not None or not left:
            raise lasting or failures[0]
        _log.warning(
            "a registration failed, it is tried again",
            extra={"reason": str(failures[0]), "attempts_left": left, "retry_delay": policy.retry_delay},
        )
        await asyncio.sleep(policy.retry_delay)


def _lasting(failures: Iterable[HomeportError]) -> HomeportError | None:
    """The first failure that the same attempt would meet again."""
    return next((error for error in failures if not (isinstance(error, BackendError) and error.retryable)), None)
