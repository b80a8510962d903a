"""Which write wakes which query: the granularity that Consul's state store has, and clients count on."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.unit.client import virtual_time
from tests.unit.protocols_consul.reading import Reading, reading

Write = Callable[[Reading], Awaitable[object]]

PROXY = b'{"DestinationServiceName":"web","Mode":"","MeshGateway":{},"Expose":{}}'

QUERIES = {
    "services": "catalog/services",
    "services by node-meta": "catalog/services?node-meta=consul-network-segment",
    "services by other node-meta": "catalog/services?node-meta=rack:1",
    "services by filter": "catalog/services?filter=ServicePort==1",
    "nodes": "catalog/nodes",
    "node": "catalog/node/agent",
    "node-services": "catalog/node-services/agent",
    "catalog web": "catalog/service/web",
    "health web": "health/service/web",
    "health web passing": "health/service/web?passing&tag=blue",
    "catalog connect": "catalog/connect/web",
    "health connect": "health/connect/web",
    "checks web": "health/checks/web",
    "checks by id": "health/checks/web-1",
    "node checks": "health/node/agent",
    "any": "health/state/any",
    "passing": "health/state/passing",
    "warning": "health/state/warning",
    "critical": "health/state/critical",
    "bogus state": "health/state/bogus",
    "catalog missing": "catalog/service/missing",
    "health missing": "health/service/missing",
    "connect missing": "health/connect/missing",
    "checks missing": "health/checks/missing",
    "node missing": "catalog/node/missing",
    "other node": "catalog/node/other",
    "other node checks": "health/node/other",
}
ALL_SERVICES = {"services", "services by filter"}
OWN_NODE = {"node", "node-services", "services by node-meta"}
NODES = {"nodes", "services by node-meta", "services by other node-meta"}
WEB = {"catalog web", "health web", "health web passing"}
HEALTH_OF_WEB = {"health web", "health web passing"}
CONNECT = {"catalog connect", "health connect"}
CHECKS_OF_WEB = {"checks web", "checks by id", "node checks", "any"}
# These wait for whatever may make them an answer.
EXTINCTION = {"catalog missing", "health missing"}

WRITES: dict[str, tuple[Write, set[str]]] = {
    "a new instance": (
        lambda r: r.register("web-2", "web"),
        ALL_SERVICES | OWN_NODE | WEB,
    ),
    "a new instance with a check": (
        lambda r: r.register("web-2", "web", status="warning"),
        ALL_SERVICES | OWN_NODE | WEB | CHECKS_OF_WEB | {"warning"},
    ),
    "an instance changed": (
        lambda r: r.register("web-1", "web", port=1, tags=("blue",)),
        ALL_SERVICES | OWN_NODE | WEB,
    ),
    "an instance removed": (
        lambda r: r.deregister("web-1"),
        # It was the last one.
        ALL_SERVICES | OWN_NODE | WEB | CHECKS_OF_WEB | {"passing"} | EXTINCTION,
    ),
    "an instance on another node": (
        lambda r: r.register("db-2", "db", node="other"),
        ALL_SERVICES | {"other node"},
    ),
    "an instance of another service": (
        lambda r: r.register("db-2", "db"),
        ALL_SERVICES | OWN_NODE,
    ),
    "another service gone": (
        lambda r: r.deregister("db-1", node="other"),
        ALL_SERVICES | {"other node", "other node checks", "any", "critical"} | EXTINCTION,
    ),
    "a check of an instance turned": (
        lambda r: r.check("check-web-1", "warning"),
        HEALTH_OF_WEB | CHECKS_OF_WEB | {"passing", "warning"},
    ),
    "a check of an instance said more": (
        lambda r: r.check("check-web-1", "passing", output="more"),
        HEALTH_OF_WEB | CHECKS_OF_WEB | {"passing"},
    ),
    "a check of another service turned": (
        lambda r: r.check("check-db-1", "passing", node="other"),
        {"any", "passing", "critical", "other node checks"},
    ),
    "a check of the node turned": (
        lambda r: r.check("disk", "critical"),
        # All services on the node; the proxy is one of them.
        HEALTH_OF_WEB | {"health connect", "node checks", "any", "passing", "critical"},
    ),
    "the node changed": (
        lambda r: r.node("agent", address="10.0.0.9", meta={"rack": "1"}),
        NODES | OWN_NODE | WEB | CONNECT,
    ),
    "another node changed": (
        lambda r: r.node("other", address="10.0.0.9"),
        NODES | {"other node"},
    ),
    "a new node": (
        lambda r: r.node("missing", address="10.0.0.9"),
        NODES | {"node missing"},
    ),
    "another node gone": (
        lambda r: r.remove_node("other"),
        ALL_SERVICES | NODES | {"other node", "other node checks", "any", "critical"} | EXTINCTION,
    ),
    "the missing service": (
        lambda r: r.register("missing-1", "missing"),
        ALL_SERVICES | OWN_NODE | {"catalog missing", "health missing"},
    ),
    "the missing service with a check": (
        lambda r: r.register("missing-1", "missing", status="passing"),
        ALL_SERVICES
        | OWN_NODE
        | {"catalog missing", "health missing", "checks missing", "node checks", "any", "passing"},
    ),
    "a service named like an id": (
        lambda r: r.register("x", "web-1", status="passing"),
        ALL_SERVICES | OWN_NODE | {"checks by id", "node checks", "any", "passing"},
    ),
    "the proxy changed": (
        lambda r: r.register("proxy-1", "web-proxy", kind="connect-proxy", port=9, proxy=PROXY),
        ALL_SERVICES | OWN_NODE | CONNECT,
    ),
    "the proxy gone": (
        lambda r: r.deregister("proxy-1"),
        # Whoever waits for a proxy of something else looks again, too.
        ALL_SERVICES | OWN_NODE | CONNECT | EXTINCTION | {"connect missing"},
    ),
    "a proxy of the missing service": (
        lambda r: r.register("proxy-2", "a-proxy", kind="connect-proxy", proxy=PROXY.replace(b"web", b"Missing")),
        ALL_SERVICES | OWN_NODE | {"connect missing"},
    ),
    "a native instance": (
        lambda r: r.register("web-2", "web", connect=b'{"Native":true}'),
        ALL_SERVICES | OWN_NODE | WEB | CONNECT,
    ),
    "the same instance again": (lambda r: r.register("web-1", "web", tags=("blue",), status="critical"), set()),
    "the same status again": (lambda r: r.check("check-web-1", "passing"), set()),
    "the same node again": (lambda r: r.node("other", address="10.0.0.2"), set()),
}


async def arrange(reading: Reading) -> None:
    await reading.register("web-1", "web", tags=("blue",), status="passing")
    await reading.register("proxy-1", "web-proxy", kind="connect-proxy", proxy=PROXY)
    await reading.check("disk", "passing")
    await reading.node("other", address="10.0.0.2")
    await reading.register("db-1", "db", node="other", status="critical")


@pytest.mark.parametrize("write", WRITES)
def test_a_write_wakes_whom_it_concerns_and_nobody_else(write: str) -> None:
    async def scenario() -> set[str]:
        async with reading() as api:
            await arrange(api)
            waiting = {
                name: asyncio.create_task(api.after(target, await api.index(target)))
                for name, target in QUERIES.items()
            }
            await asyncio.sleep(1)
            assert not any(task.done() for task in waiting.values())
            execute, _ = WRITES[write]
            await execute(api)
            await asyncio.sleep(1)
            woken = {name for name, task in waiting.items() if task.done()}
            # Whoever was woken is told a higher index, and the others give up in the end.
            for name in woken:
                assert int(waiting[name].result().headers["x-consul-index"]) == api.registry.catalog.revision
            await asyncio.gather(*waiting.values())
            return woken

    _, expected = WRITES[write]
    assert virtual_time.run(scenario()) == expected


def test_whoever_waits_for_a_name_is_woken_when_it_comes_and_when_it_goes() -> None:
    async def scenario() -> None:
        async with reading() as api:
            for target in ("health/service/web", "catalog/service/web"):
                index = await api.index(target)
                for change in (api.register("web-1", "web"), api.deregister("web-1"), api.register("web-1", "web")):
                    waiting = asyncio.create_task(api.after(target, index))
                    await asyncio.sleep(1)
                    assert not waiting.done()
                    assert await change > index
                    await asyncio.sleep(1)
                    assert waiting.done()
                    before, index = index, int(waiting.result().headers["x-consul-index"])
                    assert index > before
                await api.deregister("web-1")

    virtual_time.run(scenario())
