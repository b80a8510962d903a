"""The contract suite fails backends that break a law: each defect here is caught by the scenario that is named."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import ClassVar

import pytest

from homeport.errors import HomeportError, Unsupported
from homeport.model import Service, Status
from homeport.spi import Cursor, Lease, Observed
from homeport.testing import Memory
from homeport.testing.contract import BackendContract, Harness
from tests.contract.client.test_memory import MemoryHarness

Scenario = Callable[[BackendContract, Harness, str], Awaitable[None]]


class Deaf(Memory):
    """Its watches tell the first state only."""

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        async with aclosing(super().watch(service, datacenter=datacenter, after=after)) as stream:
            yield await anext(stream)
            await asyncio.Event().wait()


class Immortal(Memory):
    """Leases never run out."""

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        lease = await super().register(service, ttl=None, incarnation=incarnation)
        return Lease(service=lease.service, id=lease.id, incarnation=lease.incarnation, ttl=ttl)


class Careless(Memory):
    """Removes whatever has the id."""

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        return await super().deregister(service_id)


class Forgetful(Memory):
    """Loses tags."""

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        return await super().register(
            Service(name=service.name, id=service.id, address=service.address, port=service.port),
            ttl=ttl,
            incarnation=incarnation,
        )


class Silent(Memory):
    """Takes reports and does nothing."""

    async def report(self, instance_id: str, check: str, status: Status, *, output: str = "") -> None:
        if status == "maintenance":
            raise Unsupported("no", backend=self.url)


class Optimist(Memory):
    """Says in an outage that there is nothing."""

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        try:
            return await super().fetch(service, datacenter=datacenter)
        except HomeportError:
            return Observed(instances=())


class Unreset(Memory):
    """Does not say that its data were lost."""

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        async for observed in super().watch(service, datacenter=datacenter, after=after):
            yield Observed(instances=observed.instances)


class Leaking(Memory):
    """Keeps a file open for every fetch."""

    files: ClassVar[list[int]] = []

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        self.files.append(os.open(os.devnull, os.O_RDONLY))
        return await super().fetch(service, datacenter=datacenter)


class Crude(Memory):
    """Lets the errors of a library out."""

    async def ping(self) -> dict[str, str]:
        try:
            return dict(await super().ping())
        except HomeportError:
            raise ConnectionError from None


@pytest.mark.parametrize(
    ("defective", "scenario"),
    [
        (Deaf, BackendContract.test_changes_arrive),
        (Immortal, BackendContract.test_one_that_nobody_renews_is_out_of_the_healthy_answers),
        (Careless, BackendContract.test_of_two_with_one_id_the_last_one_wins),
        (Careless, BackendContract.test_the_leaving_of_the_old_one_does_not_remove_the_new_one),
        (Forgetful, BackendContract.test_everything_that_was_registered_comes_back),
        (Forgetful, BackendContract.test_what_was_asked_for_is_filtered),
        (Silent, BackendContract.test_a_check_of_its_own_decides_with_the_lease),
        (Optimist, BackendContract.test_an_outage_is_told_and_so_is_its_end),
        (Unreset, BackendContract.test_after_the_grace_lost_data_are_believed),
        (Leaking, BackendContract.test_nothing_is_left_behind),
        (Crude, BackendContract.test_only_errors_of_homeport_leave_it),
    ],
)
async def test_a_defect_is_found(defective: type[Memory], scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("finding", "registering", "troubles", "leaks"):
        monkeypatch.setattr(f"homeport.testing.contract.{room}.PATIENCE", 2.0)
    monkeypatch.setattr("homeport.testing.contract.waiting.until.__kwdefaults__", {"timeout": 2.0})
    harness = MemoryHarness()
    harness.memory = defective()
    with pytest.raises((AssertionError, TimeoutError, ConnectionError, pytest.fail.Exception)):
        await scenario(BackendContract(), harness, "api")
    while Leaking.files:
        os.close(Leaking.files.pop())
