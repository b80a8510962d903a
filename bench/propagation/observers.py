"""Who observes: Homeport, and what each system has itself. All tell every port they see, until their process ends.

Each is alone in its process, which imports no other one's library.
"""

import asyncio
import http.client
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from tests.servers.process import clean_environment

Saw: TypeAlias = Callable[[int], None]
Observer: TypeAlias = Callable[[Saw], None]

SERVICE = "observed"
PAST = 0.001
"""How often a client is looked at that tells nobody when it knows more."""


def homeport(url: str, saw: Saw) -> None:
    """A watch of Homeport."""
    from homeport import Discovery

    async def watch() -> None:
        async with Discovery(url, environ={}) as discovery, discovery.watch(SERVICE, healthy=False) as instances:
            async for snapshot in instances:
                for instance in snapshot:
                    saw(instance.port)

    asyncio.run(watch())


def curl(address: str, saw: Saw) -> None:
    """Blocking queries of Consul's API by curl."""
    index = "0"
    while True:
        url = f"http://{address}/v1/health/service/{SERVICE}?wait=60s&index={index}"
        head, _, body = _output(["curl", "--silent", "--fail", "--include", url]).partition("\n\n")
        found = re.search(r"(?im)^x-consul-index: (\d+)", head)
        assert found is not None, head
        index = found[1]
        for entry in json.loads(body):
            saw(entry["Service"]["Port"])


def py_consul(address: str, saw: Saw) -> None:
    """Blocking queries of Consul's API by py-consul."""
    import consul  # type: ignore[import-untyped]  # it has no type hints

    host, port = address.split(":")
    client = consul.Consul(host=host, port=int(port))
    index = None
    while True:
        index, entries = client.health.service(SERVICE, index=index, wait="60s")
        for entry in entries:
            saw(entry["Service"]["Port"])


def etcdctl(binary: str, address: str, prefix: str, saw: Saw) -> None:
    """``etcdctl watch``, from the first revision on."""
    command = [binary, f"--endpoints={address}", "watch", "--prefix", "--rev=1", prefix]
    environment = clean_environment({"ETCDCTL_API": "3"})
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                saw(json.loads(line)["port"])


def eureka_delta(address: str, interval: float, saw: Saw) -> None:
    """Bare requests for Eureka's delta on one connection."""
    connection = http.client.HTTPConnection(address)
    path = "/eureka/apps"
    while True:
        connection.request("GET", path, headers={"Accept": "application/json"})
        for app in json.loads(connection.getresponse().read())["applications"]["application"]:
            for instance in app["instance"]:
                saw(int(instance["port"]["$"]))
        path = "/eureka/apps/delta"
        time.sleep(interval)


def py_eureka(url: str, interval: float, saw: Saw) -> None:
    """py-eureka-client, whose copy of the registry is looked at all the time."""
    from py_eureka_client import logger  # type: ignore[import-untyped]  # it has no type hints
    from py_eureka_client.eureka_client import EurekaClient  # type: ignore[import-untyped]  # it has no type hints

    logger.set_level("ERROR")
    client = EurekaClient(eureka_server=url, should_register=False, renewal_interval_in_secs=interval)
    asyncio.run(client.start())
    while True:
        app = client.applications.get_application(SERVICE.upper())
        for instance in app.up_instances if app is not None else ():
            saw(instance.port.port)
        time.sleep(PAST)


def kubernetes(kubeconfig: str, saw: Saw) -> None:
    """A watch of kubernetes_asyncio on the slices of the service."""
    import kubernetes_asyncio

    async def watch() -> None:
        await kubernetes_asyncio.config.load_kube_config(kubeconfig)
        async with kubernetes_asyncio.client.ApiClient() as api, kubernetes_asyncio.watch.Watch() as watch:
            slices = kubernetes_asyncio.client.DiscoveryV1Api(api)
            async for event in watch.stream(
                slices.list_namespaced_endpoint_slice,
                "default",
                label_selector=f"kubernetes.io/service-name={SERVICE}",
            ):
                saw(event["object"].ports[0].port)

    asyncio.run(watch())


def dnspython(address: str, zone: str, interval: float, saw: Saw) -> None:
    """Questions by dnspython."""
    import dns.message
    import dns.query

    host, port = address.split(":")
    while True:
        answer = dns.query.udp(dns.message.make_query(f"{SERVICE}.{zone}", "SRV"), host, port=int(port), timeout=5.0)
        for record in answer.answer[0]:
            saw(int(record.to_text().split()[2]))
        time.sleep(interval)


def file(path: str, interval: float, saw: Saw) -> None:
    """A look at a file's time of change, and its JSON when that is another one."""
    changed: Any = None
    while True:
        known, status = changed, Path(path).stat()
        changed = status.st_mtime_ns, status.st_ino
        if changed != known:
            for instance in json.loads(Path(path).read_bytes())["services"][SERVICE]:
                saw(instance["port"])
        time.sleep(interval)


def _output(command: list[str]) -> str:
    """What a command prints, with plain line ends."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
