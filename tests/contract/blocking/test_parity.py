"""The blocking twin as a program uses it, on both registries; the scenarios of the contract run through it too."""

import doctest
import subprocess
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

import homeport.blocking
from homeport.blocking import (
    BackendUnavailable,
    ClientSettings,
    Discovery,
    NoInstances,
    Service,
    Snapshot,
    Standing,
    TTLCheck,
    Watch,
)
from tests.contract.blocking.conftest import Registry
from tests.plugins.following import PATIENCE
from tests.servers.factory import HomeportFactory
from tests.servers.fault_proxy import FaultProxy
from tests.servers.homeport import HomeportServer
from tests.servers.process import clean_environment

# Document 004, "Automatic Service Registration", with its import line changed and nothing else.
DOCUMENT_004 = """
# Example: Python service registration
from homeport.blocking import Discovery as ServiceRegistry
import atexit

# Initialize service registry
registry = ServiceRegistry(backend='consul')

# Register service
service_id = registry.register(
    name="api",
    address="10.0.1.100",
    port=8080,
    tags=["api", "v2.1.0", "production"],
    health_check={
        "http": "http://10.0.1.100:8080/health",
        "interval": "10s",
        "timeout": "5s"
    },
    meta={
        "version": "2.1.0",
        "environment": "production",
        "started_at": "2024-01-15T10:30:00Z"
    }
)

# Deregister on exit
atexit.register(lambda: registry.deregister(service_id))

# Update service metadata
registry.update_meta(service_id, {
    "last_deployed": "2024-01-15T10:30:00Z",
    "health_status": "healthy"
})
"""


def ids(snapshot: Snapshot) -> list[str]:
    return sorted(one.id for one in snapshot)


def test_the_sample_of_document_004_runs_with_its_import_line_changed(registry: Registry, name: str) -> None:
    sample = DOCUMENT_004.replace('name="api"', f'name="{name}"')
    assert sample != DOCUMENT_004
    report = f"""
import json
print(json.dumps(registry.discover("{name}", healthy=False, use_cache=False)[0].meta))
"""
    # Asked like that, it follows nothing, and has nothing to tell on stderr of a registry that is slow at the end.
    done = subprocess.run(
        [sys.executable, "-c", sample + report],
        env=clean_environment({"CONSUL_HTTP_ADDR": registry.address}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert '"health_status": "healthy"' in done.stdout
    assert '"started_at": "2024-01-15T10:30:00Z"' in done.stdout
    assert done.stderr == ""
    assert registry.request("GET", f"/v1/health/service/{name}") == []


def test_what_is_registered_is_found_changed_and_gone_when_the_block_ends(discovery: Discovery, name: str) -> None:
    with discovery.register(name, address="10.0.0.1", port=80, tags=["x"], meta={"k": 1}) as registration:
        found = discovery.resolve(name)
        assert (found.id, found.endpoint, found.tags, found.meta["k"]) == (registration.id, "10.0.0.1:80", ("x",), "1")
        assert discovery.pick(name).id == registration.id
        registration.update(tags=["y"], meta={"k": 2})
        assert discovery.discover(name, tags=["y"], meta={"k": 2})[0].id == registration.id
        assert [one.name for one in discovery.services() if one.name == name] == [name]
    assert ids(discovery.discover(name)) == []
    with pytest.raises(NoInstances):
        discovery.pick(name)


def test_a_reported_status_is_seen(discovery: Discovery, name: str) -> None:
    check = TTLCheck(ttl=60, name="own")
    with discovery.register(Service(name=name, port=80), checks=[check]) as registration:
        registration.report("passing", check="own")
        assert ids(discovery.discover(name)) == [registration.id]
        registration.report("critical", check="own", output="out of order")
        assert ids(discovery.discover(name)) == []
        assert ids(discovery.discover(name, healthy=False)) == [registration.id]


def test_a_watch_delivers_what_others_change(
    registry: Registry, discovery: Discovery, name: str, settings: ClientSettings
) -> None:
    heard: SimpleQueue[list[str]] = SimpleQueue()
    with discovery.watch(name, on_change=lambda snapshot: heard.put(ids(snapshot))) as watch:
        assert heard.get(timeout=PATIENCE) == []
        with Discovery(registry.backend_url, settings=settings, environ={}) as another:
            one = another.register(name, id=f"{name}-1", port=1)
            assert heard.get(timeout=PATIENCE) == [one.id]
            with another.register(name, id=f"{name}-2", port=2):
                assert heard.get(timeout=PATIENCE) == [f"{name}-1", f"{name}-2"]
                assert {watch.pick().id, watch.pick().id} == {f"{name}-1", f"{name}-2"}
        revisions = []
        for snapshot in watch:
            revisions.append(snapshot.revision)
            if not snapshot.registered:
                break
        assert revisions == sorted(set(revisions))


def test_an_outage_leaves_the_last_answer_marked_and_is_over_when_it_is(registry: Registry, name: str) -> None:
    with FaultProxy(registry.address) as proxy:
        scheme = registry.backend_url.partition("://")[0]
        with (
            Discovery(f"{scheme}://{proxy.address}", environ={}) as discovery,
            discovery.register(name, id=name, port=1),
            discovery.watch(name) as watch,
        ):
            snapshots = iter(watch)
            assert not next(snapshots).stale
            proxy.stop()
            while not (snapshot := next(snapshots)).stale:
                pass
            assert ids(snapshot) == [name]
            assert watch.pick().id == name
            with pytest.raises(BackendUnavailable):
                discovery.discover(f"{name}-unknown")
            proxy.start()
            while next(snapshots).stale:
                pass
            assert ids(discovery.discover(name, use_cache=False)) == [name]


@pytest.mark.parametrize("ask", ["discover", "resolve", "watch", "register", "services", "deregister"])
def test_a_registry_that_is_not_there_is_an_error_and_no_endless_wait(ask: str, name: str) -> None:
    with FaultProxy("127.0.0.1:1") as proxy:
        proxy.stop()
        with Discovery(f"homeport://{proxy.address}", environ={}) as discovery:
            arguments = () if ask == "services" else (name,)
            with pytest.raises(BackendUnavailable, match="no registry answers"):
                getattr(discovery, ask)(*arguments)


def test_a_lost_registration_tells_and_is_made_again(homeport_factory: HomeportFactory, name: str) -> None:
    server = homeport_factory(dev=False)
    told: SimpleQueue[tuple[str, bool]] = SimpleQueue()
    with Discovery(server.backend_url, environ={}) as discovery:
        registration = discovery.register(
            name, id=name, port=1, ttl=6.0, on_change=lambda one: told.put((threading.current_thread().name, one.lost))
        )
        server.stop()
        # It is made again after the start: who is told later than that finds it standing.
        assert told.get(timeout=PATIENCE) == ("homeport callbacks", True)
        server.wipe()
        server.start()
        assert told.get(timeout=PATIENCE) == ("homeport callbacks", False)
        assert registration.standing is Standing.REGISTERED
        assert ids(discovery.discover(name, use_cache=False)) == [name]


def example(documented: object, homeport: HomeportServer, service: str) -> Callable[..., None]:
    """The `main` of the example of an entry point, against this registry and for this service."""
    parts = doctest.DocTestParser().get_examples(documented.__doc__ or "")
    assert parts, f"{documented} has no example"
    source = "".join(part.source for part in parts)
    source = source.replace("homeport://127.0.0.1:8500", homeport.backend_url).replace("billing", service)
    names: dict[str, Any] = {one: getattr(homeport_blocking, one) for one in homeport_blocking.__all__}
    exec(source, names)
    main: Callable[..., None] = names["main"]
    return main


homeport_blocking = homeport.blocking


@pytest.mark.parametrize("documented", [homeport.blocking, Discovery])
def test_an_entry_point_s_example_runs(homeport: HomeportServer, name: str, documented: object) -> None:
    with Discovery(homeport.backend_url, environ={}) as discovery, discovery.register(name, port=1):
        example(documented, homeport, name)()


def test_the_example_of_a_call_runs(homeport: HomeportServer, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    discovery = Discovery(homeport.backend_url, environ={})
    with discovery, discovery.register(name, port=7), discovery.watch(name) as watch:
        example(Watch.call, homeport, "billing")(watch)
    assert capsys.readouterr().out == "http://127.0.0.1:7/v1/invoices\n"
