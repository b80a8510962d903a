"""A server that is killed at any moment under writers: what it answered is there, the rest whole or not at all.

Fifty kills, each followed by a start that is checked against what every writer was told. A writer owns its ids, so
that it knows for each the last state that was acknowledged, and the one it was asking for when the server died.
"""

import json
import os
import random
import threading
import time
from typing import Any

import msgspec
import pytest

from tests.integration.server.talking import Talk
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer

KILLS = 50
WRITERS = 4
IDS = 6  # of each writer, so that most writes change what is there
INDEXED = ("/v1/catalog/services", "/v1/health/state/any", "/v1/catalog/nodes", "/v1/health/service/s0")

State = tuple[int, frozenset[str]] | None
"""An instance as its owner wants it: its port and the ids of its checks; None when it shall not be there."""


class Write(msgspec.Struct, frozen=True):
    """A request, and the state of an id when it has happened."""

    owned: str
    state: State
    target: str
    body: dict[str, Any]


class Writer:
    """Writes until the connection ends, one request after the other."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.acknowledged: dict[str, State] = {}
        self.asked: Write | None = None  # without an answer yet
        self.answers = 0
        self.problem = ""
        self._number = number
        self._rng = rng

    def run(self, address: str) -> None:
        try:
            with Talk(address) as talk:
                while True:
                    self.asked = write = self._next()
                    answer = talk.put(write.target, json.dumps(write.body).encode() if write.body else b"")
                    if answer.status != 200:
                        self.problem = f"{write}: {answer.status} {answer.text}"
                        return
                    self.acknowledged[write.owned] = write.state
                    self.asked = None
                    self.answers += 1
        except (EOFError, OSError):
            return

    def possible(self, owned: str) -> list[State]:
        """The states in which an id may be found after a kill."""
        states = [self.acknowledged.get(owned)]
        if self.asked is not None and self.asked.owned == owned:
            states.append(self.asked.state)
        return states

    def found(self, owned: str, state: State) -> None:
        """Take what was found for what is."""
        self.acknowledged[owned] = state

    def _next(self) -> Write:
        rng, port = self._rng, self._rng.randrange(1, 65536)
        owned = f"w{self._number}-{rng.randrange(IDS)}"
        checks = [f"{owned}-c{n}" for n in range(rng.randrange(1, 4))]
        gone = self.acknowledged.get(owned) is None
        if owned.endswith(("0", "1")):  # a node of its own in the catalog
            if not gone and rng.random() < 0.4:
                return Write(owned, None, "/v1/catalog/deregister", {"Node": owned})
            registration: dict[str, Any] = {
                "Node": owned, "Address": f"10.0.0.{port % 256}",
                "Service": {"ID": owned, "Service": f"s{port % 3}", "Port": port},
                "Checks": [
                    {"Node": owned, "CheckID": check, "Name": check, "ServiceID": owned, "Status": "passing"}
                    for check in checks
                ],
            }  # fmt: skip
            # What was registered before stays, so each such registration begins anew.
            if not gone:
                return Write(owned, None, "/v1/catalog/deregister", {"Node": owned})
            return Write(owned, (port, frozenset(checks)), "/v1/catalog/register", registration)
        if not gone and rng.random() < 0.4:
            return Write(owned, None, f"/v1/agent/service/deregister/{owned}", {})
        body: dict[str, Any] = {
            "ID": owned, "Name": f"s{port % 3}", "Port": port,
            "Checks": [{"CheckID": check, "TTL": "600s", "Status": "passing"} for check in checks],
        }  # fmt: skip
        target = "/v1/agent/service/register?replace-existing-checks=true"
        return Write(owned, (port, frozenset(checks)), target, body)


class Indexes:
    """Reads indexes all the time, and remembers the highest of each question: none may ever go back."""

    def __init__(self) -> None:
        self.highest = dict.fromkeys(INDEXED, 0)
        self.problem = ""

    def run(self, address: str) -> None:
        try:
            with Talk(address) as talk:
                while True:
                    self.read(talk)
        except (EOFError, OSError):
            return

    def read(self, talk: Talk) -> None:
        for target in INDEXED:
            index = talk.ask(target).index
            if index < self.highest[target]:
                self.problem = f"{target} went back from {self.highest[target]} to {index}"
            self.highest[target] = index


def states(server: HomeportServer) -> dict[str, State]:
    """All instances with their checks, as they are."""
    found: dict[str, tuple[int, set[str]]] = {}
    with Talk(server.address) as talk:
        own = talk.ask("/v1/agent/self").json["Config"]["NodeName"]
        nodes = [node["Node"] for node in talk.ask("/v1/catalog/nodes").json]
        for node in nodes:
            for service in talk.ask(f"/v1/catalog/node/{node}").json["Services"].values():
                found[service["ID"]] = (service["Port"], set())
            assert node == own or node in found, f"the node {node} is there without its instance"
        for check in talk.ask("/v1/health/state/any").json:
            if check["CheckID"] != "serfHealth":
                assert check["ServiceID"] in found, f"a check without its instance: {check}"
                found[check["ServiceID"]][1].add(check["CheckID"])
    return {owned: (port, frozenset(checks)) for owned, (port, checks) in found.items()}


def check(server: HomeportServer, writers: list[Writer]) -> int:
    """Compare what is there with what the writers know; how many unanswered writes turned out to be made."""
    found, surprises = states(server), 0
    owners = {f"w{number}-{n}": writer for number, writer in enumerate(writers) for n in range(IDS)}
    assert found.keys() <= owners.keys()
    for owned, writer in owners.items():
        state = found.get(owned)
        possible = writer.possible(owned)
        assert state in possible, f"{owned} is {state}; acknowledged {possible[0]}, asked {possible[1:]}"
        surprises += state != possible[0]
        writer.found(owned, state)
    for writer in writers:
        writer.asked = None
    return surprises


@pytest.mark.timeout(600)
def test_killed_at_any_moment_it_keeps_what_it_answered(homeport_factory: HomeportFactory) -> None:
    seed = int.from_bytes(os.urandom(4))
    rng = random.Random(seed)
    server = homeport_factory()
    writers = [Writer(number, random.Random(rng.random())) for number in range(WRITERS)]
    indexes = Indexes()
    runs = [indexes.run, *(writer.run for writer in writers)]
    surprises = 0
    for _ in range(KILLS):
        threads = [threading.Thread(target=run, args=(server.address,)) for run in runs]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.0, 0.4))  # the moment of the kill is what is tried
        server.kill()
        for thread in threads:
            thread.join()
        assert not [writer.problem for writer in writers if writer.problem], f"seed {seed}"
        server.start()
        surprises += check(server, writers)
        with Talk(server.address) as talk:
            indexes.read(talk)
        assert not indexes.problem, f"seed {seed}"
    answers = sum(writer.answers for writer in writers)
    assert answers > KILLS, "the writers hardly wrote"
    assert surprises > 0, "no kill ever hit a write between its commit and its answer, which cannot be chance"
