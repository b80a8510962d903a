"""`examples/with_kubernetes.py`, as a program."""

import asyncio
import sys
from pathlib import Path

from tests.integration.backends_kubernetes.conftest import PATIENCE, Room, endpoint
from tests.servers.kubernetes import ApiServer
from tests.servers.process import clean_environment

EXAMPLE = Path(__file__).parents[3] / "examples" / "with_kubernetes.py"


async def test_it_finds_the_pods_and_itself(room: Room, kubernetes: ApiServer) -> None:
    room.service("billing", annotations={"homeport/metrics-path": "/metrics"})
    room.pod("billing-0", labels={"app.kubernetes.io/version": "2.1.0"})
    room.slice("s", "billing", [endpoint("10.1.0.1", "billing-0")])
    environment = {"KUBECONFIG": str(kubernetes.kubeconfig), "K8S_NAMESPACE": room.namespace}
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), env=clean_environment(environment), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        printed, _ = await program.communicate()
    assert program.returncode == 0
    assert printed.decode().splitlines() == [
        "billing-0 10.1.0.1:8080 2.1.0 /metrics",
        "billing-outside 192.0.2.7:8080  /",
        "billing: 1 of 1 pass",
    ]
    assert room.registered() == []
