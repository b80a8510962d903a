"""What the agent tells about itself: ``agent/self``, ``members``, ``version``, ``metrics``, ``host`` and ``reload``.

Source: https://developer.hashicorp.com/consul/api-docs/agent. There is one logical agent and it is a server. There is
no gossip: the ports that Consul uses for it appear as Consul's defaults, and nothing listens there.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import resource
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from homeport.registry.registry import Registry
from homeport.wire import consul, golang
from homeport.wire.http import HTTPError, Request, Response

from .community_routes import CommunityRoutes
from .row_filter import row_filter

CONSUL_VERSION = "1.21.4"
"""The release of Consul whose API this is."""

_BUILD_DATE = "1970-01-01T00:00:01Z"
_SERVER_PORT, _SERF_LAN_PORT, _SERF_WAN_PORT = 8300, 8301, 8302
_ALIVE = 1
_MEMORY = {
    "MemTotal": "total", "MemAvailable": "available", "MemFree": "free", "Active": "active", "Inactive": "inactive",
    "Buffers": "buffers", "Cached": "cached", "SwapTotal": "swaptotal", "SwapFree": "swapfree",
}  # fmt: skip
_Gauge = tuple[str, float, dict[str, str]]


class AgentInfo:
    """The agent's facts. ``monotonic`` is the clock (seconds) for how long it has been running."""

    def __init__(self, registry: Registry, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._monotonic = monotonic
        self._began = monotonic()
        self._version = f"{CONSUL_VERSION}+homeport.{importlib.metadata.version('homeport')}"

    def routes(self) -> CommunityRoutes:
        """All endpoints."""
        routes = CommunityRoutes()
        routes.add(["GET"], "/v1/agent/self", self.about)
        routes.add(["GET"], "/v1/agent/members", self.members)
        routes.add(["GET"], "/v1/agent/version", self.version)
        routes.add(["GET"], "/v1/agent/metrics", self.metrics)
        routes.add(["GET"], "/v1/agent/host", self.host)
        routes.add(["PUT"], "/v1/agent/reload", self.reload)
        return routes

    async def about(self, _: Request) -> Response:
        """``GET /v1/agent/self``: every value at the top is an object, as Go's client needs."""
        identity = self._registry.identity
        node = self._registry.catalog.node(identity.node)
        config = consul.SelfConfig(
            datacenter=identity.datacenter, primary_datacenter=identity.datacenter, node_name=identity.node,
            node_id=identity.node_id, server=True, version=self._version, build_date=_BUILD_DATE,
        )  # fmt: skip
        debug_config = {
            "ACLsEnabled": False, "AdvertiseAddrLAN": self._registry.address, "Datacenter": identity.datacenter,
            "NodeID": identity.node_id, "NodeName": identity.node, "ServerMode": True,
        }  # fmt: skip
        answer = consul.Self(
            config=config, debug_config=debug_config, coord={}, member=self._member(wan=False), stats=self._stats(),
            meta=node.value.meta if node is not None else {}, xds={},
        )  # fmt: skip
        return Response(body=golang.encode(answer))

    async def members(self, request: Request) -> Response:
        """``GET /v1/agent/members?wan&segment&filter``: the one agent."""
        if request.first("segment") not in ("", "_all"):
            raise HTTPError(500, "Network segments are not supported in this version of Consul")
        members = [self._member(wan=bool(request.first("wan")))]
        keep = row_filter(request, consul.Member)
        return Response(body=golang.encode(members if keep is None else list(filter(keep, members))))

    async def version(self, _: Request) -> Response:
        """``GET /v1/agent/version``."""
        return Response(
            body=golang.encode({"SHA": "", "BuildDate": _BUILD_DATE, "HumanVersion": self._version, "FIPS": ""})
        )

    async def metrics(self, request: Request) -> Response:
        """``GET /v1/agent/metrics``: what is measured here, under Consul's names where Consul has one."""
        if request.first("format") == "prometheus":
            raise HTTPError(415, "Prometheus is not enabled since its retention time is not positive")
        now = datetime.fromtimestamp(int(self._registry.clock()), UTC)
        gauges = [
            {"Name": name, "Value": value, "Labels": labels}
            for name, value, labels in sorted(self._gauges(), key=lambda gauge: gauge[0])
        ]
        answer: dict[str, Any] = {
            "Timestamp": f"{now:%Y-%m-%d %H:%M:%S} +0000 UTC",
            "Gauges": gauges,
            "Points": [],
            "Counters": [],
            "Samples": [],
        }
        return Response(body=golang.encode(answer))

    async def host(self, _: Request) -> Response:
        """``GET /v1/agent/host``: the machine. A fact that the platform does not offer is left out."""
        return Response(body=golang.encode(await asyncio.to_thread(_host, self._registry.clock())))

    async def reload(self, _: Request) -> Response:
        """``PUT /v1/agent/reload``: refused, since a running registry reads none of its configuration again."""
        raise HTTPError(501, "this registry does not reload its configuration while it runs; restart it instead")

    def _member(self, *, wan: bool) -> consul.Member:
        identity = self._registry.identity
        return consul.Member(
            name=f"{identity.node}.{identity.datacenter}" if wan else identity.node, addr=self._registry.address,
            port=_SERF_WAN_PORT if wan else _SERF_LAN_PORT,
            tags={
                "acls": "0", "build": f"{self._version}:", "dc": identity.datacenter, "id": identity.node_id,
                "port": str(_SERVER_PORT), "role": "consul", "segment": "", "vsn": "2", "vsn_max": "3", "vsn_min": "2",
            },
            status=_ALIVE, protocol_min=1, protocol_max=5, protocol_cur=2, delegate_min=2, delegate_max=5,
            delegate_cur=4,
        )  # fmt: skip

    def _stats(self) -> dict[str, dict[str, str]]:
        own = self._registry.node.lower()
        image = self._registry.catalog.image
        # The node's serfHealth is the catalog's, not the agent's.
        checks, services = len(image.group(("chk", own))) - 1, len(image.group(("svc", own)))
        return {
            "agent": {"checks": str(checks), "services": str(services)},
            "build": {"prerelease": "", "revision": "", "version": self._version},
            "consul": {"acl": "disabled", "known_datacenters": "1", "leader": "true", "server": "true"},
            "runtime": {
                "arch": platform.machine(), "cpu_count": str(os.cpu_count() or 1), "os": platform.system().lower(),
                "version": f"python{platform.python_version()}",
            },
        }  # fmt: skip

    def _gauges(self) -> Iterator[_Gauge]:
        catalog = self._registry.catalog
        here = {"datacenter": self._registry.identity.datacenter}
        nodes = [entry.value.name.lower() for entry in catalog.node_entries()]
        yield "consul.state.nodes", len(nodes), here
        yield "consul.state.services", len(catalog.service_names()), here
        yield "consul.state.service_instances", sum(len(catalog.image.group(("svc", node))) for node in nodes), here
        yield "homeport.state.checks", sum(len(catalog.image.group(("chk", node))) for node in nodes), here
        yield "homeport.store.revision", catalog.revision, {}
        yield "homeport.process.uptime_seconds", round(self._monotonic() - self._began, 3), {}
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield "homeport.process.cpu_seconds", round(usage.ru_utime + usage.ru_stime, 3), {}


def _host(now: float) -> dict[str, Any]:
    """What is known of the machine. Reads files, so not for the event loop."""
    usage = shutil.disk_usage("/")
    return {
        "Memory": _memory(),
        "CPU": [{"cpu": number} for number in range(os.cpu_count() or 1)],
        "Host": {
            "hostname": socket.gethostname(), "os": platform.system().lower(), "kernelVersion": platform.release(),
            "kernelArch": platform.machine(),
        },
        "Disk": {
            "path": "/", "total": usage.total, "free": usage.free, "used": usage.used,
            "usedPercent": 100 * usage.used / usage.total,
        },
        "CollectionTime": int(now * 1e9),
        "Errors": None,
    }  # fmt: skip


def _memory() -> dict[str, int]:
    """Bytes, as Linux tells them (proc(5), ``/proc/meminfo``); nothing on a platform without it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    facts: dict[str, int] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name in _MEMORY:
            facts[_MEMORY[name]] = int(value.split()[0]) * 1024
    return facts
