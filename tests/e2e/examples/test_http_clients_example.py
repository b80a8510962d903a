"""The example of the HTTP clients, run as a reader would run it, on a real registry."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.http_clients.instance_server import PATIENCE, InstanceServer
from tests.servers.homeport import HomeportServer
from tests.servers.ports import LOOPBACK
from tests.servers.process import clean_environment

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def billing(homeport: HomeportServer) -> Iterator[list[InstanceServer]]:
    """Two registered instances that answer."""
    with ExitStack() as stack:
        servers = []
        for number in (1, 2):
            server = InstanceServer(f"billing-{number}")
            stack.callback(server.stop)
            stack.callback(homeport.request, "PUT", f"/v1/agent/service/deregister/{server.name}")
            body = {"ID": server.name, "Name": "billing", "Address": LOOPBACK, "Port": server.port}
            homeport.request("PUT", "/v1/agent/service/register", body)
            servers.append(server)
        yield servers


def test_every_client_calls_by_name(homeport: HomeportServer, billing: list[InstanceServer]) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "http_clients.py")],
        env=clean_environment({"HOMEPORT_BACKEND": homeport.backend_url}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second, httpx, refused, requests = done.stdout.splitlines()
    served = [re.fullmatch(r"aiohttp: 200 from (\S+), as http://billing/", line) for line in (first, second)]
    assert {match[1] for match in served if match} == {server.endpoint for server in billing}
    assert httpx == "httpx: 200, as http://billing/"
    assert refused.startswith('httpx: "nobody" has no instances')
    assert requests == "requests: 200, as http://billing/"
