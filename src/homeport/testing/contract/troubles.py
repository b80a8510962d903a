"""Outages, broken networks, wrong answers, restarts and lost data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing

import msgspec
import pytest

from homeport.client.keeper import Standing
from homeport.client.registration import Registration
from homeport.errors import BackendError, BackendUnavailable, InvalidAnswer
from homeport.model import Snapshot
from homeport.spi import Discoverer, Registrar

from .capabilities import COMPACT, LIST, REGISTER, RESTART, ROTATE, WATCH, WIPE, able, need
from .harness import CUT, GARBAGE, HALF_OPEN, OUTAGE, SLOW, Harness
from .scenarios import LASTING, Scenarios, known, of_a_backend, one, renewing
from .waiting import PATIENCE, fresh, ids, noted, stale, until

_SLOW_TIME = 1.5
_ROTATION_TTL = 8.0
_ROTATION_RENEWALS = 0.5


class TroubleContract(Scenarios):
    """What is known is kept and marked as stale; nothing is believed that was not stated; everything heals."""

    async def test_an_outage_is_told_and_so_is_its_end(self, harness: Harness, name: str) -> None:
        """The last instances stay, stale; who asks for something new learns that nobody answers."""
        await need(harness, OUTAGE, name)
        await harness.write(one(name, 1))
        async with harness.discovery() as discovery, discovery.watch(name) as watch:
            await discovery.resolve(name)
            async with harness.trouble(OUTAGE):
                outage = await until(watch, stale)
                assert ids(outage) == known(harness, name, 1)
                assert outage.reason
                assert [watch.pick().id] == known(harness, name, 1)
                assert (await discovery.discover(name)).stale
                with pytest.raises(BackendUnavailable):
                    await discovery.discover(f"{name}-never-asked")
                with pytest.raises(BackendUnavailable):
                    await discovery.discover(name, use_cache=False)
                with pytest.raises(BackendError):
                    await discovery.services()
                if harness.writes_in_trouble:
                    await harness.write(one(name, 2))
            if not harness.writes_in_trouble:
                await harness.write(one(name, 2))
            await until(watch, lambda snapshot: fresh(snapshot) and ids(snapshot) == known(harness, name, 1, 2))
            assert not (await discovery.discover(name)).stale

    async def test_cut_connections_lose_nothing(self, harness: Harness, name: str) -> None:
        """Whatever changes around a cut is seen in the end."""
        await need(harness, CUT, name)
        async with harness.discovery() as discovery, discovery.watch(name) as watch:
            for number in range(8):
                async with harness.trouble(CUT):
                    pass
                await harness.write(one(name, number))
            await until(watch, lambda snapshot: len(snapshot) == 8 and fresh(snapshot))

    async def test_a_half_open_connection_is_noticed(self, harness: Harness, name: str) -> None:
        """Silence is not taken for the absence of news."""
        await need(harness, HALF_OPEN, name)
        await harness.write(one(name, 1))
        async with harness.discovery() as discovery, discovery.watch(name) as watch:
            async with harness.trouble(HALF_OPEN):
                silent = await until(watch, stale)
                assert silent.reason
                assert ids(silent) == known(harness, name, 1)
            await harness.write(one(name, 2))
            await until(watch, lambda snapshot: fresh(snapshot) and len(snapshot) == 2)

    async def test_a_slow_network_is_no_outage(self, harness: Harness, name: str) -> None:
        """What comes late, but comes, is not stale."""
        await need(harness, SLOW, name)
        seen: list[Snapshot] = []
        async with (
            harness.trouble(SLOW),
            harness.discovery() as discovery,
            discovery.watch(name, on_change=seen.append) as watch,
        ):
            await harness.write(one(name, 1))
            await until(watch, lambda snapshot: len(snapshot) == 1)
            await asyncio.sleep(_SLOW_TIME)  # an outage would show within that
        assert [len(snapshot) for snapshot in seen] == [0, 1]
        assert not any(map(stale, seen))

    async def test_garbage_is_never_believed(self, harness: Harness, name: str) -> None:
        """Answers that cannot be right change nothing but the staleness, and surface as errors of Homeport."""
        await need(harness, GARBAGE, name)
        kinds = [kind for kind in harness.troubles if kind.startswith(GARBAGE)]
        await harness.write(one(name, 1))
        seen: list[Snapshot] = []
        async with harness.discovery() as discovery, discovery.watch(name, on_change=seen.append) as watch:
            for kind in kinds:
                async with harness.trouble(kind):
                    broken = await until(watch, stale)
                    assert ids(broken) == known(harness, name, 1), kind
                    with pytest.raises((InvalidAnswer, BackendUnavailable)):
                        await discovery.discover(name, use_cache=False)
                await until(watch, fresh)
        assert all(ids(snapshot) == known(harness, name, 1) for snapshot in seen)

    async def test_a_restart_is_stale_and_then_fresh_and_nothing_is_lost(
        self, durable_harness: Harness, name: str
    ) -> None:
        """Instances outlive a restart, and no watch sees an empty set that nobody stated."""
        harness = durable_harness
        await need(harness, RESTART, name)
        await harness.write(one(name, 1))
        seen: list[Snapshot] = []
        async with harness.discovery() as discovery, discovery.watch(name, on_change=seen.append) as watch:
            await noted(lambda: bool(seen))
            restarting = asyncio.create_task(harness.restart())
            await noted(lambda: any(map(stale, seen)))
            await restarting
            await until(watch, fresh)
            await harness.write(one(name, 2))
            await until(watch, lambda snapshot: len(snapshot) == 2)
        assert all(snapshot.instances for snapshot in seen)

    async def test_a_registration_outlives_a_restart(self, durable_harness: Harness, name: str) -> None:
        """It is there afterwards, whether the system kept it or the program made it again."""
        harness = durable_harness
        await need(harness, RESTART, name)
        await need(harness, REGISTER, name)
        seen: list[Snapshot] = []
        async with (
            harness.discovery() as discovery,
            discovery.register(name, id=f"{name}-1", port=1, ttl=3 * harness.ttl),
            discovery.watch(name, on_change=seen.append) as watch,
        ):
            await noted(lambda: bool(seen))
            restarting = asyncio.create_task(harness.restart())
            await noted(lambda: any(map(stale, seen)))
            await restarting
            back = await until(watch, lambda snapshot: fresh(snapshot) and len(snapshot) == 1)
            assert ids(back) == [f"{name}-1"]
            await _listed(harness, name, [f"{name}-1"])

    async def test_lost_data_keep_the_last_snapshot_until_the_instances_are_back(
        self, durable_harness: Harness, name: str
    ) -> None:
        """A wiped system is no reason to forget whom to call."""
        harness = durable_harness
        await need(harness, WIPE, name)
        for number in range(3):
            await harness.write(one(name, number))
        seen: list[Snapshot] = []
        async with harness.discovery() as discovery, discovery.watch(name, on_change=seen.append) as watch:
            await harness.wipe()
            kept = await until(watch, lambda snapshot: snapshot.reason == "reset")
            assert len(kept) == 3
            for number in range(3):
                assert watch.current.stale
                await harness.write(one(name, number))
            await until(watch, fresh)
            assert len(watch.current) == 3
        assert all(len(snapshot) == 3 for snapshot in seen)

    async def test_after_the_grace_lost_data_are_believed(self, durable_harness: Harness, name: str) -> None:
        """What does not come back within ``reset_grace`` is gone."""
        harness = durable_harness
        await need(harness, WIPE, name)
        await harness.write(one(name, 1))
        settings = msgspec.structs.replace(harness.settings, reset_grace=1.0)
        seen: list[Snapshot] = []
        async with harness.discovery(settings) as discovery, discovery.watch(name, on_change=seen.append) as watch:
            await noted(lambda: bool(seen))
            await harness.wipe()
            # The grace may be over by the time that the system is known to be up again.
            await noted(lambda: any(snapshot.reason == "reset" for snapshot in seen))
            gone = await until(watch, fresh)
            assert ids(gone) == []

    async def test_a_registration_is_made_again_after_data_were_lost(self, durable_harness: Harness, name: str) -> None:
        """Whoever lives is registered."""
        harness = durable_harness
        await need(harness, WIPE, name)
        await need(harness, REGISTER, name)
        told: list[Registration] = []
        async with (
            harness.discovery(renewing(harness)) as discovery,
            discovery.register(name, id=f"{name}-1", port=1, ttl=LASTING, on_change=told.append) as registration,
        ):
            await harness.wipe()
            await noted(lambda: len(told) >= 2)  # that it is lost, and that it stands again
            async with asyncio.timeout(PATIENCE):
                await registration.wait_for(Standing.REGISTERED)
            await _listed(harness, name, [f"{name}-1"])
            assert (await discovery.discover(name))[0].healthy

    async def test_a_forgotten_history_loses_no_change(self, durable_harness: Harness, name: str) -> None:
        """What changed while nobody watched is seen, although nobody can tell any more what it was step by step."""
        harness = durable_harness
        await need(harness, COMPACT, name)
        await need(harness, OUTAGE, name)
        await harness.write(one(name, 1))
        seen: list[Snapshot] = []
        async with harness.discovery() as discovery, discovery.watch(name, on_change=seen.append) as watch:
            await until(watch, lambda snapshot: ids(snapshot) == known(harness, name, 1))

            async def change() -> None:
                await harness.write(one(name, 2))
                await harness.remove(one(name, 1))
                await harness.write(one(name, 3))
                await harness.compact()

            async with harness.trouble(OUTAGE):
                await until(watch, stale)
                if harness.writes_in_trouble:
                    await change()
            if not harness.writes_in_trouble:
                await change()
            await until(watch, lambda snapshot: fresh(snapshot) and ids(snapshot) == known(harness, name, 2, 3))
            await harness.compact()
            await harness.write(one(name, 4))
            await until(watch, lambda snapshot: fresh(snapshot) and ids(snapshot) == known(harness, name, 2, 3, 4))
        assert all(snapshot.instances for snapshot in seen)

    async def test_a_credential_that_is_rotated_is_followed(self, guarded_harness: Harness, name: str) -> None:
        """A watch and a registration that live go on with the new one, without a gap, and so does what comes later."""
        harness = guarded_harness
        await need(harness, ROTATE, name)
        await harness.write(one(name, 1))
        registers = await able(harness, REGISTER, name)
        lost: list[str] = []
        seen: list[Snapshot] = []
        settings = msgspec.structs.replace(harness.settings, renew_interval=_ROTATION_RENEWALS)
        async with (
            harness.discovery(settings) as discovery,
            AsyncExitStack() as stack,
            discovery.watch(name, on_change=seen.append) as watch,
        ):
            if registers:
                own = discovery.register(one(name, 2), ttl=_ROTATION_TTL, on_change=lambda one: lost.append(one.reason))
                _ = await stack.enter_async_context(own)
            numbers = [1, 2] if registers else [1]
            for number in (3, 4):
                await harness.rotate()
                await harness.write(one(name, number))
                numbers.append(number)
                await until(watch, _fresh_with(known(harness, name, *numbers)))
                assert ids(await discovery.discover(name, use_cache=False)) == known(harness, name, *numbers)
            expected = known(harness, name, *numbers)
            if registers:
                await asyncio.sleep(_ROTATION_TTL)  # nothing keeps it but renewals
                assert await harness.listed(name) == expected
                assert ids(await discovery.discover(name, use_cache=False)) == expected
        assert lost == []
        assert all(snapshot.instances for snapshot in seen)

    @of_a_backend
    async def test_only_errors_of_homeport_leave_it(self, harness: Harness, name: str) -> None:
        """Whatever is asked in an outage fails with BackendUnavailable, which names the backend."""
        await need(harness, OUTAGE, name)
        watched, listed = await able(harness, WATCH, name), await able(harness, LIST, name)
        async with aclosing(harness.backend()) as backend, harness.trouble(OUTAGE):
            assert isinstance(backend, Discoverer)
            attempts: list[Callable[[], Awaitable[object]]] = [
                backend.ping,
                lambda: backend.fetch(name),
            ]
            if listed:
                attempts.append(backend.services)
            if watched:
                attempts.append(lambda: anext(backend.watch(name)))
            if isinstance(backend, Registrar):
                registrar = backend
                attempts += [
                    lambda: registrar.register(one(name, 1), ttl=harness.ttl, incarnation="x"),
                    lambda: registrar.deregister(f"{name}-1"),
                ]
            for attempt in attempts:
                with pytest.raises(BackendUnavailable) as caught:
                    await attempt()
                assert caught.value.retryable
                assert str(caught.value)


async def _listed(harness: Harness, name: str, expected: list[str]) -> None:
    """Return when the system itself lists these ids.

    A short lease may run out in between and be made anew, and a system that just started may list later than it takes.
    """
    async with asyncio.timeout(PATIENCE):
        while await harness.listed(name) != expected:  # noqa: ASYNC110 - the system tells nobody
            await asyncio.sleep(0.05)


def _fresh_with(expected: list[str]) -> Callable[[Snapshot], bool]:
    return lambda snapshot: fresh(snapshot) and ids(snapshot) == expected
