"""The blocking API as a user's type checker sees it; `test_blocking_api.py` has mypy read it, nothing runs it."""

from collections.abc import Sequence
from typing import assert_type

from homeport.blocking import (
    BackendUnavailable,
    Call,
    Discovery,
    HTTPCheck,
    Instance,
    Registration,
    Service,
    Snapshot,
    Standing,
    Watch,
)
from homeport.spi import Backend, ServiceSummary


def finding() -> None:
    with Discovery("consul://127.0.0.1:8500", balancer="round_robin") as discovery:
        assert_type(discovery, Discovery)
        snapshot = discovery.discover("billing", tags=["eu"], version=">=2,<3", meta={"canary": True, "n": 1})
        assert_type(snapshot, Snapshot)
        assert_type(snapshot[0], Instance)
        assert_type(discovery.discover("billing", use_cache=False), Snapshot)
        assert_type(discovery.resolve("billing", key="user-7"), Instance)
        assert_type(discovery.pick("billing"), Instance)
        assert_type(discovery.call("billing"), Call)
        assert_type(discovery.services(), Sequence[ServiceSummary])
        assert_type(discovery.backend, Backend)
        assert_type(discovery.watching("billing"), Watch)
        assert_type(discovery.perform("billing", lambda call: call.url("/"), idempotent=True), str)


def following(discovery: Discovery) -> None:
    with discovery.watch("billing", version=">=2,<3") as billing:
        assert_type(billing, Watch)
        assert_type(billing.current, Snapshot)
        assert_type(billing.pick(key=None), Instance)
        with billing.call("user-7") as call:
            assert_type(call, Call)
            assert_type(call.url("/v1/invoices"), str)
        for snapshot in billing:
            assert_type(snapshot, Snapshot)
        assert_type(billing.perform(lambda call: len(call.url()), hedge_after=0.1), int)
    seen: list[Snapshot] = []
    watch = discovery.watch("billing", on_change=seen.append)
    assert_type(watch, Watch)
    watch.close()


def registering(discovery: Discovery) -> None:
    check = HTTPCheck("http://127.0.0.1:8080/health", interval=10)
    with discovery.register("api", port=8080, tags=["production"], checks=[check]) as registration:
        assert_type(registration, Registration)
        assert_type(registration.id, str)
        assert_type(registration.wait_for(Standing.LOST), Standing)
        registration.update(tags=["new"], meta={"last": "now"})
        registration.report("passing", output="fine")
        discovery.update_meta(registration, {"x": 1.5})
    reasons: list[str] = []
    made = discovery.register(Service(name="api"), on_change=lambda one: reasons.append(one.reason))
    assert_type(made.close(), bool)
    assert_type(discovery.deregister("api-1"), bool)


def errors(error: BackendUnavailable) -> None:
    assert_type(error.retryable, bool)
