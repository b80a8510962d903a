"""Registering services, keeping them alive, and reporting their health."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import pytest

from homeport.client.keeper import Standing
from homeport.client.registration import Registration
from homeport.errors import BackendError, Conflict, LeaseLost, Refused, Unsupported
from homeport.model import Service, Snapshot, TTLCheck
from homeport.spi import HealthReporter, Lease, Registrar

from .capabilities import HEALTH, LIST, REGISTER, able, need, refused
from .harness import ASYNC, Harness
from .scenarios import LASTING, Scenarios, one, renewing
from .waiting import PATIENCE, ids, noted, until


class RegisteringContract(Scenarios):
    """What every `Registrar` does, and every `HealthReporter`."""

    async def test_it_is_seen_when_registered_and_gone_when_deregistered(self, harness: Harness, name: str) -> None:
        """A registration is there when registering returns, and gone when deregistering does."""
        await need(harness, REGISTER, name)
        async with harness.discovery() as discovery:
            async with discovery.register(name, id=f"{name}-1", port=8080, tags=["production"]) as registration:
                assert await harness.listed(name) == [f"{name}-1"]
                instance = await discovery.resolve(name)
                assert (instance.id, instance.port, instance.tags) == (f"{name}-1", 8080, ("production",))
                assert instance.address
                assert instance.healthy
                assert not registration.lost
            assert await harness.listed(name) == []
            assert len(await discovery.discover(name)) == 0

    async def test_everything_that_was_registered_comes_back(self, harness: Harness, name: str) -> None:
        """No part of a service is lost on its way."""
        await need(harness, REGISTER, name)
        async with (
            harness.discovery() as discovery,
            discovery.register(
                name,
                port=8080,
                address="10.1.2.3",
                version="2.1.0",
                environment="production",
                tags=["b", "a"],
                meta={"team": "platform", "attempts": 3, "canary": True, "region": "eu-west", "zone": "eu-west-1a"},
                weight=7,
            ),
        ):
            (instance,) = await discovery.discover(name)
            assert (instance.service, instance.address, instance.port, instance.weight) == (name, "10.1.2.3", 8080, 7)
            assert (instance.version, instance.environment) == ("2.1.0", "production")
            assert sorted(instance.tags) == ["a", "b"]
            meta = instance.meta
            assert (meta["team"], meta["attempts"], meta["canary"]) == ("platform", "3", "true")
            assert (instance.region, instance.zone) == ("eu-west", "eu-west-1a")
            assert instance.started_at.endswith("Z")
            assert instance.endpoint == "10.1.2.3:8080"
            assert not [key for key in meta if "incarnation" in key]

    async def test_changes_of_a_live_registration_are_seen(self, harness: Harness, name: str) -> None:
        """An update replaces what is given and keeps the rest, and the instance stays healthy throughout."""
        await need(harness, REGISTER, name)
        async with (
            harness.discovery() as discovery,
            discovery.register(name, port=1, tags=["old"], meta={"kept": "yes"}) as registration,
        ):
            before = (await discovery.discover(name))[0]
            await registration.update(tags=["new"], weight=5)
            await discovery.update_meta(registration.id, {"last_deployed": "now"})
            (after,) = await discovery.discover(name)
            assert (after.tags, after.weight) == (("new",), 5)
            assert (after.meta["kept"], after.meta["last_deployed"]) == ("yes", "now")
            assert after.started_at == before.started_at
            assert after.healthy

    async def test_one_that_nobody_renews_is_out_of_the_healthy_answers(self, harness: Harness, name: str) -> None:
        """A program that crashed renews nothing; one that lives is not dropped meanwhile."""
        await need(harness, REGISTER, name)
        async with (
            aclosing(harness.backend()) as backend,
            harness.discovery() as discovery,
            discovery.watch(name) as watch,
        ):
            assert isinstance(backend, Registrar)
            async with discovery.register(name, id=f"{name}-2", port=2, ttl=harness.ttl):
                both = asyncio.create_task(until(watch, lambda snapshot: ids(snapshot) == [f"{name}-1", f"{name}-2"]))
                await _registered_until(both, backend, one(name, 1), ttl=harness.ttl, incarnation="crashed")
                gone = await until(watch, lambda snapshot: ids(snapshot) == [f"{name}-2"])
                assert not gone.stale

    async def test_renewing_keeps_a_lease_and_registering_counts_as_renewing(self, harness: Harness, name: str) -> None:
        """An expired lease is as good as new when it is registered again."""
        await need(harness, REGISTER, name)
        async with (
            aclosing(harness.backend()) as backend,
            harness.discovery() as discovery,
            discovery.watch(name) as watch,
        ):
            assert isinstance(backend, Registrar)
            service = one(name, 1)
            seen = asyncio.create_task(until(watch, lambda snapshot: len(snapshot) == 1))
            lease = await _registered_until(seen, backend, service, ttl=harness.ttl, incarnation="one")
            assert (lease.service, lease.id, lease.incarnation, lease.ttl) == (name, service.id, "one", harness.ttl)
            await until(watch, lambda snapshot: len(snapshot) == 0)
            lease = await backend.register(service, ttl=60.0, incarnation="one")
            assert (await discovery.discover(name, use_cache=False))[0].healthy
            await backend.renew(lease)
            assert await backend.deregister(service.id, incarnation="one")
            with pytest.raises(LeaseLost):
                await backend.renew(lease)

    async def test_of_two_with_one_id_the_last_one_wins(self, harness: Harness, name: str) -> None:
        """The first learns so when it renews, and its leaving leaves the second alone."""
        await need(harness, REGISTER, name)
        async with aclosing(harness.backend()) as backend:
            assert isinstance(backend, Registrar)
            first = await backend.register(one(name, 1), ttl=60.0, incarnation="first")
            await backend.register(one(name, 1, tags=("second",)), ttl=60.0, incarnation="second")
            with pytest.raises(Conflict):
                await backend.renew(first)
            assert not await backend.deregister(first.id, incarnation="first")
            assert await harness.listed(name) == [first.id]
            async with harness.discovery() as discovery:
                assert (await discovery.discover(name))[0].tags == ("second",)
            assert await backend.deregister(first.id, incarnation="second")
            assert await harness.listed(name) == []

    async def test_the_leaving_of_the_old_one_does_not_remove_the_new_one(self, harness: Harness, name: str) -> None:
        """As in a rolling restart."""
        await need(harness, REGISTER, name)
        async with harness.discovery() as new_program:
            async with harness.discovery() as old_program:
                _ = await old_program.register(name, id=f"{name}-1", port=1)
                _ = await new_program.register(name, id=f"{name}-1", port=2)
            assert [instance.port for instance in await new_program.discover(name)] == [2]

    async def test_deregistering_by_id_works_from_anywhere(self, harness: Harness, name: str) -> None:
        """Any program may remove any registration; one that is gone is no error."""
        await need(harness, REGISTER, name)
        async with harness.discovery() as owner, harness.discovery() as other:
            # Nothing is renewed meanwhile: who lives would be registered again.
            registration = await owner.register(name, port=1, ttl=LASTING)
            assert len(await other.discover(name)) == 1
            assert await other.deregister(registration.id)
            assert len(await other.discover(name)) == 0
            assert not await other.deregister(registration.id)

    async def test_a_registration_that_is_removed_is_made_again_and_the_program_is_told(
        self, harness: Harness, name: str
    ) -> None:
        """Whoever lives is registered; the program learns of the gap."""
        await need(harness, REGISTER, name)
        told: list[bool] = []

        def on_change(registration: Registration) -> None:
            told.append(registration.lost)

        async with (
            harness.discovery(renewing(harness)) as discovery,
            discovery.register(name, id=f"{name}-1", port=1, ttl=LASTING, on_change=on_change) as registration,
        ):
            await harness.remove(one(name, 1))
            await noted(lambda: len(told) >= 2)
            async with asyncio.timeout(PATIENCE):
                await registration.wait_for(Standing.REGISTERED)
            assert await harness.listed(name) == [f"{name}-1"]
            # The blocking twin calls on a thread of its own, when the first of the two may be over.
            assert len(told) == 2
            assert told == [True, False] if harness.mode == ASYNC else not told[-1]
            assert (await discovery.discover(name, use_cache=False))[0].healthy

    async def test_a_check_of_its_own_decides_with_the_lease(self, harness: Harness, name: str) -> None:
        """The worst check decides; a report about one that is not there is refused."""
        await need(harness, REGISTER, name)
        await need(harness, HEALTH, name)
        async with harness.discovery() as discovery:
            checks = [TTLCheck(id="beat", name="Heartbeat", ttl=60.0)]
            async with (
                discovery.watch(name) as watch,
                discovery.register(name, port=1, checks=checks) as registration,
            ):
                assert (await discovery.discover(name, healthy=False))[0].status == "critical"
                await registration.report("passing", output="all is well")
                snapshot = await until(watch, lambda snapshot: len(snapshot) == 1)
                (check,) = [check for check in snapshot[0].checks if check.name == "Heartbeat"]
                assert (check.status, check.output) == ("passing", "all is well")
                await registration.report("warning", check="beat")
                await until(watch, lambda snapshot: len(snapshot) == 0 and snapshot.registered == 1)
                await registration.report("passing", check="Heartbeat")
                await until(watch, lambda snapshot: len(snapshot) == 1)
                with pytest.raises(Refused, match='has no check "nix"; it has'):
                    await registration.report("passing", check="nix")
                with pytest.raises(Unsupported):
                    await registration.report("maintenance")

    async def test_checks_that_are_no_longer_wanted_are_removed(self, harness: Harness, name: str) -> None:
        """An update of the checks replaces them all."""
        await need(harness, REGISTER, name)
        await need(harness, HEALTH, name)
        checks = [TTLCheck(name="one", ttl=60.0, status="passing"), TTLCheck(name="two", ttl=60.0, status="passing")]
        async with (
            harness.discovery() as discovery,
            discovery.register(name, port=1, checks=checks) as registration,
        ):
            await registration.update(checks=checks[:1])
            (instance,) = await discovery.discover(name)
            assert {check.name for check in instance.checks} & {"one", "two"} == {"one"}

    async def test_checks_are_listed_by_status(self, harness: Harness, name: str) -> None:
        """All checks can be asked for, or those of one status."""
        await need(harness, REGISTER, name)
        await need(harness, HEALTH, name)
        checks = [TTLCheck(id="beat", name="Heartbeat", ttl=60.0)]
        async with aclosing(harness.backend()) as backend, harness.discovery() as discovery:
            assert isinstance(backend, HealthReporter)
            async with discovery.register(name, id=f"{name}-1", port=1, checks=checks) as registration:
                rows = await backend.checks()
                assert (name, f"{name}-1", "Heartbeat") in {(row[0], row[1], row[2].name) for row in rows}
                await registration.report("warning", check="beat", output="hot")
                own = [row[2] for row in await backend.checks(status="warning") if row[1] == f"{name}-1"]
                assert [(state.name, state.output) for state in own] == [("Heartbeat", "hot")]
                assert not [row for row in await backend.checks(status="critical") if row[1] == f"{name}-1"]

    async def test_what_it_cannot_do_it_says(self, harness: Harness, name: str) -> None:
        """What a backend has no way to do raises Unsupported, which names who can; nothing pretends to be done."""
        for capability in (LIST, REGISTER, HEALTH):
            if not await able(harness, capability, name):
                await refused(harness, capability, name)
        async with aclosing(harness.backend()) as backend:
            if isinstance(backend, HealthReporter):
                with pytest.raises(BackendError):
                    await backend.run_check(name, "nix")
                with pytest.raises(BackendError):
                    await backend.report(name, "nix", "passing")
                with suppress(Unsupported):
                    assert list(await backend.history(name, since=0.0)) == []


async def _registered_until(
    seen: asyncio.Task[Snapshot], backend: Registrar, service: Service, *, ttl: float, incarnation: str
) -> Lease:
    """Register, and again until it was seen: on a busy machine a lease this short may end before that."""
    try:
        while True:
            lease = await backend.register(service, ttl=ttl, incarnation=incarnation)
            await asyncio.wait([seen], timeout=ttl / 3)
            if seen.done():
                await seen
                return lease
    finally:
        seen.cancel()
