"""The public API as a user's type checker sees it; `test_public_api.py` has mypy read it, nothing runs it."""

from collections.abc import Sequence
from typing import assert_type

from homeport import (
    BackendUnavailable,
    CacheStatistics,
    Call,
    Discovery,
    Event,
    HTTPCheck,
    Instance,
    NoInstances,
    Registration,
    Service,
    Snapshot,
    TCPCheck,
    TTLCheck,
    Watch,
    diff,
    open_backend,
)
from homeport.spi import Backend, ServiceSummary


async def finding() -> None:
    async with Discovery("consul://127.0.0.1:8500", balancer="round_robin") as discovery:
        assert_type(discovery, Discovery)
        snapshot = await discovery.discover("billing", tags=["eu"], version=">=2,<3", meta={"canary": True, "n": 1})
        assert_type(snapshot, Snapshot)
        assert_type(snapshot[0], Instance)
        assert_type([instance.endpoint for instance in snapshot], list[str])
        assert_type(snapshot.stale_since, float | None)
        assert_type(await discovery.discover("billing", use_cache=False), Snapshot)
        assert_type(await discovery.resolve("billing", key="user-7"), Instance)
        assert_type(discovery.pick("billing"), Instance)
        assert_type(discovery.call("billing"), Call)
        assert_type(await discovery.services(), Sequence[ServiceSummary])
        assert_type(discovery.backend, Backend)
        assert_type(discovery.backends, tuple[Backend, ...])
        assert_type(discovery.cache_statistics(), CacheStatistics)
        _ = assert_type(await discovery.watching("billing"), Watch)


async def following(discovery: Discovery) -> None:
    async with discovery.watch("billing", version=">=2,<3") as billing:
        _ = assert_type(billing, Watch)
        assert_type(billing.current, Snapshot)
        assert_type(billing.pick(key=None), Instance)
        async with billing.call() as call:
            assert_type(call, Call)
            assert_type(call.url("/v1/invoices"), str)
            call.observe(status=200)
        with billing.call("user-7") as call:
            assert_type(call.instance, Instance)
        billing.observe(billing.pick(), status=200, duration=0.1)

        async def ask(call: Call) -> bytes:
            return call.url("/").encode()

        assert_type(await billing.perform(ask, idempotent=True, deadline=2.0, hedge_after=0.5), bytes)
        assert_type(await discovery.perform("billing", ask), bytes)
        async for snapshot in billing:
            assert_type(snapshot, Snapshot)
            assert_type(diff((), snapshot), tuple[Event, ...])
    seen: list[Snapshot] = []
    watch = await discovery.watch("billing", balancer="p2c_ewma", on_change=seen.append)
    _ = assert_type(watch, Watch)
    await watch.close()

    async def on_change(snapshot: Snapshot) -> None:
        seen.append(snapshot)

    await (await discovery.watch("billing", on_change=on_change)).close()


async def registering(discovery: Discovery) -> None:
    check = HTTPCheck("http://127.0.0.1:8080/health", interval=10)
    async with discovery.register("api", port=8080, tags=["production"], checks=[check]) as registration:
        _ = assert_type(registration, Registration)
        assert_type(registration.id, str)
        assert_type(registration.lost, bool)
        await registration.update(tags=["new"], meta={"last": "now"})
        await registration.update_meta({"attempts": 3})
        await registration.report("passing", output="fine")
        await discovery.update_meta(registration, {"x": 1.5})
    kinds = [check, TCPCheck(target="127.0.0.1:8080"), TTLCheck(ttl=10)]  # a list of several kinds needs no annotation
    made = await discovery.register(Service(name="api"), checks=kinds, health_check={"tcp": "127.0.0.1:1"})
    _ = assert_type(made, Registration)
    assert_type(await made.close(), bool)
    reasons: list[str] = []
    assert_type(await discovery.deregister("api-1"), bool)
    _ = assert_type(
        await discovery.register(name="api", id="api-1", on_change=lambda one: reasons.append(one.reason)), Registration
    )


def errors(error: BackendUnavailable | NoInstances) -> None:
    if isinstance(error, BackendUnavailable):
        assert_type(error.retryable, bool)
        assert_type(error.backend, str)
    else:
        assert_type(error.registered, int)


def opening() -> None:
    assert_type(open_backend("consul", {}), Backend)
