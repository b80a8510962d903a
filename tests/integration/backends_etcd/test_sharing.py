"""Many services over one watch of a real etcd."""

import asyncio
import base64
import json
import urllib.request
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery, Watch
from homeport.backends.etcd import EtcdBackend, open_etcd
from homeport.backends.etcd.api import EtcdAPI, Watching
from homeport.backends.etcd.following import HANDFUL
from homeport.spi import Observed
from homeport.testing import FaultProxy
from tests.plugins.following import PATIENCE, Until
from tests.servers.etcd import EtcdServer
from tests.servers.etcdctl import Etcdctl
from tests.servers.process import wait_until

MANY = 300
_FEW = 20
"""Connections whose number does not grow with the services: the shared watch, a handful of others until they go over to
it, and those for reading and confirming, one of which may be made anew when it was idle for long."""


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services share a watch from the first on."""
    monkeypatch.setattr("homeport.backends.etcd.backend.HANDFUL", 0)


def put(etcd: EtcdServer, service: str, number: int) -> int:
    return etcd.put(f"/services/{service}/{number}", json.dumps({"address": "10.0.0.1", "port": number}))


def backend(address: str, *, confirm_interval: float = 60.0) -> EtcdBackend:
    return open_etcd(f"etcd://{address}?confirm_interval={confirm_interval}", {})


def watches(etcd: EtcdServer) -> int:
    """How many watches etcd has, by its own account."""
    with urllib.request.urlopen(f"{etcd.url}/metrics", timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("etcd_debugging_mvcc_watcher_total ")))


async def arriving(stream: AsyncGenerator[Observed, None], *wanted: str) -> Observed:
    """The first set that is exactly these ids."""
    async with asyncio.timeout(PATIENCE):
        while ids(observed := await anext(stream)) != list(wanted):
            pass
        return observed


def ids(observed: Observed) -> list[str]:
    return [one.id for one in observed.instances]


async def everybody_has(until: Until, followed: list[Watch], count: int) -> None:
    for watch in followed:
        await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == count)


async def everybody_is_stale(until: Until, followed: list[Watch]) -> None:
    for watch in followed:
        await until(watch, lambda snapshot: snapshot.stale)


async def test_three_hundred_services_are_followed_live_by_one_watch(
    etcd_factory: Callable[..., EtcdServer], settings: ClientSettings, until: Until
) -> None:
    etcd = await asyncio.to_thread(etcd_factory)

    def put_everywhere(number: int) -> None:
        for place in range(MANY):
            put(etcd, f"s{place}", number)

    await asyncio.to_thread(put_everywhere, 1)
    with FaultProxy(etcd.address) as proxy:
        async with (
            Discovery(f"etcd://{proxy.address}", settings=settings, environ={}, handle_signals=False) as discovery,
            AsyncExitStack() as stack,
        ):
            opening = (stack.enter_async_context(discovery.watch(f"s{place}")) for place in range(MANY))
            followed = await asyncio.gather(*opening)
            await asyncio.to_thread(wait_until, lambda: watches(etcd) == 1, timeout=PATIENCE, what="the only watch")
            before = proxy.accepted
            await asyncio.to_thread(put_everywhere, 2)
            await everybody_has(until, followed, 2)
            assert proxy.accepted - before <= _FEW
            await asyncio.to_thread(proxy.stop)
            await everybody_is_stale(until, followed)
            await asyncio.to_thread(put_everywhere, 3)
            before = proxy.accepted
            await asyncio.to_thread(proxy.start)
            await everybody_has(until, followed, 3)
            assert proxy.accepted - before <= _FEW
            await asyncio.to_thread(wait_until, lambda: watches(etcd) == 1, timeout=PATIENCE, what="the only watch")
        await asyncio.to_thread(wait_until, lambda: watches(etcd) == 0, timeout=PATIENCE, what="the end of the watch")


async def test_a_handful_of_services_has_a_watch_each(
    etcd_factory: Callable[..., EtcdServer], settings: ClientSettings
) -> None:
    etcd = await asyncio.to_thread(etcd_factory)
    async with (
        Discovery(etcd.backend_url, settings=settings, environ={}, handle_signals=False) as discovery,
        AsyncExitStack() as stack,
    ):
        for place in range(HANDFUL):
            _ = await stack.enter_async_context(discovery.watch(f"s{place}"))

        def a_handful() -> bool:
            return watches(etcd) == HANDFUL

        await asyncio.to_thread(wait_until, a_handful, timeout=PATIENCE, what="a watch each")


@pytest.mark.usefixtures("sharing")
async def test_each_is_told_of_its_own_keys_only(etcd: EtcdServer, name: str) -> None:
    async with (
        aclosing(backend(etcd.address)) as under_test,
        aclosing(under_test.watch(name)) as stream,
        aclosing(under_test.watch(f"{name}0")) as other,
    ):
        await arriving(stream)
        await arriving(other)
        waiting = asyncio.ensure_future(anext(other))
        await asyncio.to_thread(put, etcd, name, 1)
        await asyncio.to_thread(put, etcd, f"{name}/deeper", 2)
        await arriving(stream, "1", "deeper/2")
        assert not waiting.done()
        await asyncio.to_thread(put, etcd, f"{name}0", 3)
        async with asyncio.timeout(PATIENCE):
            assert ids(await waiting) == ["3"]


@pytest.mark.usefixtures("sharing")
async def test_what_one_transaction_does_arrives_as_a_whole(etcd: EtcdServer, name: str) -> None:
    await asyncio.to_thread(put, etcd, name, 1)

    def text(data: str) -> str:
        return base64.b64encode(data.encode()).decode()

    value = text('{"address": "10.0.0.1"}')
    puts = [{"request_put": {"key": text(f"/services/{name}/{number}"), "value": value}} for number in (2, 3)]
    gone = {"request_delete_range": {"key": text(f"/services/{name}/1")}}
    async with aclosing(backend(etcd.address)) as under_test, aclosing(under_test.watch(name)) as stream:
        await arriving(stream, "1")
        await asyncio.to_thread(etcd.request, "/v3/kv/txn", {"success": [*puts, gone]})
        async with asyncio.timeout(PATIENCE):
            assert ids(await anext(stream)) == ["2", "3"]


@pytest.mark.usefixtures("sharing")
async def test_a_quiet_service_is_confirmed_however_busy_the_others_are(etcd: EtcdServer, name: str) -> None:
    async def change() -> None:
        for number in range(1_000_000):
            await asyncio.to_thread(put, etcd, f"{name}-busy", number % 10)
            await asyncio.to_thread(etcd.delete, f"/services/{name}-busy/{number % 7}")

    await asyncio.to_thread(put, etcd, name, 1)
    async with (
        aclosing(backend(etcd.address, confirm_interval=0.1)) as under_test,
        aclosing(under_test.watch(name)) as stream,
    ):
        first = await arriving(stream, "1")
        changing = asyncio.ensure_future(change())
        try:
            for _ in range(10):
                again = await arriving(stream, "1")
                while again.cursor.position == first.cursor.position:  # a slow disk: nothing was written meanwhile
                    again = await arriving(stream, "1")
                assert again.instances == first.instances
                assert again.cursor.position > first.cursor.position
                first = again
        finally:
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)


@pytest.mark.usefixtures("sharing")
async def test_events_that_never_arrive_are_noticed_by_the_confirmation(
    etcd: EtcdServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultProxy(etcd.address) as proxy:
        proxy.rewrite(lambda piece: piece.replace(b'"events"', b'"nobody"'))
        async with aclosing(backend(proxy.address, confirm_interval=0.2)) as under_test, AsyncExitStack() as stack:
            # How long events may be on their way: as long as an answer, which is to have more time than that.
            monkeypatch.setattr(under_test._following, "_timeout", 0.5)
            stream = await stack.enter_async_context(aclosing(under_test.watch(name)))
            await arriving(stream)
            await asyncio.to_thread(put, etcd, name, 1)
            await arriving(stream, "1")
            await asyncio.to_thread(put, etcd, name, 2)
            await asyncio.to_thread(etcd.delete, f"/services/{name}/2")
            await asyncio.to_thread(etcd.delete, f"/services/{name}/1")
            assert not (await arriving(stream)).reset


@pytest.mark.usefixtures("sharing")
async def test_what_was_compacted_before_the_watch_began_is_read_anew(
    etcd_factory: Callable[..., EtcdServer], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    etcd = await asyncio.to_thread(etcd_factory)
    original = EtcdAPI.watch
    begun: list[int] = []

    def compact() -> None:
        put(etcd, name, 1)
        put(etcd, name, 2)
        etcd.delete(f"/services/{name}/1")
        etcd.compact(put(etcd, name, 3))

    async def watch(self: EtcdAPI, keys: Mapping[str, str], *, start_revision: int, purpose: str) -> Watching:
        if not begun:
            await asyncio.to_thread(compact)
        begun.append(start_revision)
        return await original(self, keys, start_revision=start_revision, purpose=purpose)

    monkeypatch.setattr(EtcdAPI, "watch", watch)
    async with aclosing(backend(etcd.address)) as under_test, aclosing(under_test.watch(name)) as stream:
        await arriving(stream, "2", "3")
        await asyncio.to_thread(put, etcd, name, 4)
        assert not (await arriving(stream, "2", "3", "4")).reset
        assert len(begun) == 2


async def test_who_may_not_read_all_keys_has_a_watch_for_each_service(
    etcd_factory: Callable[..., EtcdServer], etcdctl_binary: Path, settings: ClientSettings, until: Until
) -> None:
    etcd = await asyncio.to_thread(etcd_factory, arguments=["--bcrypt-cost=4"])
    names = [f"s{place}" for place in range(2 * HANDFUL)]
    commands = [
        "user add root:root", "user grant-role root root", "user add app:secret", "role add some",
        *(f"role grant-permission some --prefix=true readwrite /services/{name}/" for name in names),
        "user grant-role app some", "auth enable",
    ]  # fmt: skip

    def arrange() -> None:
        for command in commands:
            Etcdctl(etcdctl_binary, etcd.address)(*command.split())

    await asyncio.to_thread(arrange)
    under_test = open_etcd(f"{etcd.backend_url}?user=app&password=secret", {})
    async with (
        aclosing(under_test),
        Discovery(under_test, settings=settings, environ={}, handle_signals=False) as discovery,
        AsyncExitStack() as stack,
    ):
        followed = [await stack.enter_async_context(discovery.watch(name)) for name in names]
        for name in names:
            _ = await discovery.register(name, id="one", port=1, ttl=10.0)
        await everybody_has(until, followed, 1)
        await asyncio.to_thread(
            wait_until, lambda: watches(etcd) == len(names), timeout=PATIENCE, what="a watch each, and no other"
        )
        assert under_test.watch_limit == 100


async def test_a_watch_that_is_shared_sets_no_limit(etcd: EtcdServer, name: str) -> None:
    async with aclosing(backend(etcd.address)) as under_test, AsyncExitStack() as stack:
        assert under_test.watch_limit == 100
        for place in range(HANDFUL + 1):
            stream = await stack.enter_async_context(aclosing(under_test.watch(f"{name}-{place}")))
            await arriving(stream)
        assert under_test.watch_limit is None


@pytest.mark.parametrize("handful", [0, 5])
async def test_a_confirmation_is_of_the_moment_it_was_asked_for(
    etcd: EtcdServer, name: str, handful: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a client that has asked in the meantime would take it for an older one, and pass it over."""
    monkeypatch.setattr("homeport.backends.etcd.backend.HANDFUL", handful)
    async with (
        aclosing(backend(etcd.address, confirm_interval=0.1)) as under_test,
        aclosing(under_test.watch(name)) as stream,
    ):
        await arriving(stream)
        await asyncio.to_thread(put, etcd, f"{name}-other", 1)
        asked = (await under_test.fetch(name)).cursor
        async with asyncio.timeout(PATIENCE):
            while (await anext(stream)).cursor.position < asked.position:
                pass


@pytest.mark.usefixtures("sharing")
async def test_who_shares_a_watch_is_told_that_it_was_closed(etcd: EtcdServer, name: str) -> None:
    under_test = backend(etcd.address)
    async with aclosing(under_test), aclosing(under_test.watch(name)) as stream:
        await arriving(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await under_test.aclose()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(BackendUnavailable, match="was closed"):
                await waiting
