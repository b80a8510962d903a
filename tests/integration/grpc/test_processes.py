"""Servers that are processes of their own, on a real registry: the examples of the documentation, and a kill."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeport import Discovery
from homeport.blocking import Discovery as BlockingDiscovery
from homeport.integrations.grpc import discovery_channel
from tests.servers.homeport import HomeportServer
from tests.servers.process import clean_environment

EXAMPLES = Path(__file__).parents[3] / "examples"
TARGET = "discovery:///greeter"
GREET = "/demo.Greeter/Greet"
TIMEOUT = 60


class Greeter:
    """`examples/grpc_server.py` as a process."""

    def __init__(self, registry: HomeportServer) -> None:
        self._registry = registry
        self._process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "grpc_server.py")],
            env=clean_environment({"HOMEPORT_BACKEND": registry.backend_url}),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = 0

    def await_registration(self) -> None:
        """Wait until it is registered."""
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().rpartition(" ")[2])

    @property
    def answer(self) -> str:
        return f"hello world from port {self.port}"

    def kill(self) -> None:
        """End it without a word; its registration stays for as long as its lease."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Leave nothing of it."""
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        for entry in self._registry.request("GET", "/v1/health/service/greeter"):
            if entry["Service"]["Port"] == self.port:
                self._registry.request("PUT", f"/v1/agent/service/deregister/{entry['Service']['ID']}")


@pytest.fixture
def greeters(homeport: HomeportServer) -> Iterator[list[Greeter]]:
    with ExitStack() as stack:
        started = []
        for _ in range(3):
            started.append(Greeter(homeport))
            stack.callback(started[-1].close)
        for greeter in started:
            greeter.await_registration()
        yield started


async def test_no_idempotent_call_fails_when_a_server_is_killed(
    homeport: HomeportServer, greeters: list[Greeter]
) -> None:
    async with (
        Discovery(homeport.backend_url) as discovery,
        discovery_channel(discovery, TARGET, idempotent={GREET}) as channel,
    ):
        greet = channel.unary_unary(GREET, str.encode, bytes.decode)
        answers = Counter([await greet("world") for _ in range(60)])
        assert answers == {greeter.answer: 20 for greeter in greeters}
        greeters[0].kill()
        answers = Counter([await greet("world") for _ in range(60)])
        assert answers.keys() == {greeter.answer for greeter in greeters[1:]}


def test_nor_without_an_event_loop(homeport: HomeportServer, greeters: list[Greeter]) -> None:
    with (
        BlockingDiscovery(homeport.backend_url) as discovery,
        discovery_channel(discovery, TARGET, idempotent={GREET}) as channel,
    ):
        greet = channel.unary_unary(GREET, str.encode, bytes.decode)
        answers = Counter([greet("world") for _ in range(60)])
        assert answers == {greeter.answer: 20 for greeter in greeters}
        greeters[0].kill()
        answers = Counter([greet("world") for _ in range(60)])
        assert answers.keys() == {greeter.answer for greeter in greeters[1:]}


def test_the_example(homeport: HomeportServer, greeters: list[Greeter]) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "grpc_client.py"), "6"],
        env=clean_environment({"HOMEPORT_BACKEND": homeport.backend_url}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Counter(done.stdout.splitlines()) == {greeter.answer: 2 for greeter in greeters}
