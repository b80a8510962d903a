"""The contract suite fails backends that break a law: each defect here is caught by the scenario that is named."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar, NoReturn

import pytest

from homeport import Discovery
from homeport.errors import BackendUnavailable, HomeportError, PermissionDenied, Unsupported
from homeport.model import Service, Status
from homeport.spi import Backend, Cursor, Lease, Observed
from homeport.testing import Memory
from homeport.testing.contract import ASYNC, BLOCKING, COMPACT, REGISTER, BackendContract, Harness, Mode
from homeport.testing.contract.scenarios import modes_of
from tests.contract.client.test_memory import Guarded, GuardedMemoryHarness, MemoryHarness

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


class Amnesiac(Memory):
    """Nobody who knows a state from before its history begins can go on."""

    begins_at = 0

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        if after is not None and after.position < self.begins_at:
            raise BackendUnavailable("that was compacted away", backend=self.url)
        async with aclosing(super().watch(service, datacenter=datacenter, after=after)) as stream:
            async for observed in stream:
                yield observed


class Stubborn(Guarded):
    """Its watches keep the first secret that they had."""

    first: str | None = None

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        if self.first is None:
            self.first = self.secret
        async with aclosing(super().watch(service, datacenter=datacenter, after=after)) as stream:
            async for observed in stream:
                if self.first != self.secret:
                    raise PermissionDenied("another secret is needed", backend=self.url)
                yield observed


class Belated(Guarded):
    """Whoever asks first after a rotation is refused."""

    sent = ""

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        outdated, self.sent = self.sent != self.secret, self.secret
        if outdated:
            raise PermissionDenied("another secret is needed", backend=self.url)
        return await super().fetch(service, datacenter=datacenter)


class Compacting(MemoryHarness):
    """Forgets the history of a Memory, which only a defective one needs."""

    compacts = True
    writes_in_trouble = False

    def __init__(self) -> None:
        super().__init__()
        self.cannot = {lack: reason for lack, reason in self.cannot.items() if lack != COMPACT}

    async def compact(self) -> None:
        if isinstance(self.memory, Amnesiac):
            self.memory.begins_at = 1 << 40


def harness_of(memory: Memory) -> Harness:
    """A harness that can do what the scenarios here need."""
    if isinstance(memory, Guarded):
        return GuardedMemoryHarness(memory)
    harness = Compacting()
    harness.memory = memory
    return harness


DEFECTS: list[tuple[type[Memory], Scenario]] = [
    (Deaf, BackendContract.test_changes_arrive),
    (Deaf, BackendContract.test_every_final_state_is_seen_also_by_slow_readers),
    (Immortal, BackendContract.test_one_that_nobody_renews_is_out_of_the_healthy_answers),
    (Careless, BackendContract.test_of_two_with_one_id_the_last_one_wins),
    (Careless, BackendContract.test_the_leaving_of_the_old_one_does_not_remove_the_new_one),
    (Forgetful, BackendContract.test_everything_that_was_registered_comes_back),
    (Forgetful, BackendContract.test_what_was_asked_for_is_filtered),
    (Silent, BackendContract.test_a_check_of_its_own_decides_with_the_lease),
    (Optimist, BackendContract.test_an_outage_is_told_and_so_is_its_end),
    (Unreset, BackendContract.test_after_the_grace_lost_data_are_believed),
    (Leaking, BackendContract.test_nothing_is_left_behind),
    (Leaking, BackendContract.test_an_end_amid_an_outage_leaves_nothing_behind),
    (Crude, BackendContract.test_only_errors_of_homeport_leave_it),
    (Amnesiac, BackendContract.test_a_forgotten_history_loses_no_change),
    (Stubborn, BackendContract.test_a_credential_that_is_rotated_is_followed),
    (Belated, BackendContract.test_a_credential_that_is_rotated_is_followed),
]


@pytest.mark.parametrize(
    ("defective", "scenario", "mode"),
    [(memory, scenario, mode) for memory, scenario in DEFECTS for mode in modes_of(scenario, (ASYNC, BLOCKING))],
)
async def test_a_defect_is_found(
    defective: type[Memory], scenario: Scenario, mode: Mode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for room in ("finding", "registering", "troubles", "leaks", "waiting"):
        monkeypatch.setattr(f"homeport.testing.contract.{room}.PATIENCE", 2.0)
    monkeypatch.setattr("homeport.testing.contract.waiting.until.__kwdefaults__", {"timeout": 2.0})
    harness = harness_of(defective(tmp_path / "secret") if issubclass(defective, Guarded) else defective())
    harness.mode = mode
    with pytest.raises((AssertionError, TimeoutError, ConnectionError, PermissionDenied, pytest.fail.Exception)):
        await scenario(BackendContract(), harness, "api")
    while Leaking.files:
        os.close(Leaking.files.pop())


@pytest.mark.parametrize("mode", [ASYNC, BLOCKING])
async def test_without_a_defect_a_forgotten_history_is_no_trouble(mode: Mode) -> None:
    harness = harness_of(Memory())
    harness.mode = mode
    await BackendContract().test_a_forgotten_history_loses_no_change(harness, "api")


class Braggart(MemoryHarness):
    """Declares a lack that it has not."""

    cannot: Mapping[str, str] = {REGISTER: "It does."}


class Finder:
    """A backend that finds and registers nothing, and so the client has to say who does."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.url, self.ping, self.aclose = memory.url, memory.ping, memory.aclose
        self.watch_limit, self.fetch, self.watch, self.services = None, memory.fetch, memory.watch, memory.services


class ReadOnly(MemoryHarness):
    """Finds only."""

    cannot: Mapping[str, str] = {REGISTER: "It is finished."}

    def backend(self) -> Backend:
        return Finder(self.memory)


@pytest.mark.parametrize("mode", [ASYNC, BLOCKING])
async def test_a_declared_lack_is_refused_by_the_client_and_told_with_its_reason(
    mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = BackendContract().test_deregistering_by_id_works_from_anywhere
    harness = ReadOnly()
    harness.mode = mode
    with pytest.raises(pytest.skip.Exception, match=r"^declared: It is finished\.$"):
        await scenario(harness, "api")
    harness.cannot = {}
    with pytest.raises(pytest.skip.Exception, match=r"^this harness does not offer: register$"):
        await scenario(harness, "api")
    with pytest.raises(AssertionError, match='declares that it cannot "register", and it can'):
        await scenario(Braggart(), "api")
    monkeypatch.setattr(Discovery, "_registrar", mumble)
    with pytest.raises(AssertionError, match="does not name the backends that can"):
        await scenario(harness, "api")


def mumble(_discovery: Discovery) -> NoReturn:
    raise Unsupported("no", backend="memory://")
