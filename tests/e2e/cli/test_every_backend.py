"""Every command on every backend: it works, or one sentence says which backends can, with the exit code for that."""

import contextlib
import json
import re
import urllib.error
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from homeport import Service
from homeport.cli.app import COMMANDS
from tests.contract.kubernetes.harness import remove_slices, write_slice
from tests.e2e.cli.command_line import CommandLine
from tests.e2e.cli.in_process import InProcess
from tests.servers.api import call
from tests.servers.consul import ConsulServer
from tests.servers.etcd import EtcdServer
from tests.servers.eureka import EurekaServer
from tests.servers.homeport import HomeportServer
from tests.servers.kubernetes import ApiServer

BACKENDS = ("homeport", "consul", "etcd", "kubernetes", "eureka", "dns", "static", "embedded")
NO_LIST = (1, "DNS has no list of services; ask for one by its name, or use ")
NO_REGISTRATIONS = (1, "takes no registrations; use ")
NO_CHECKS = (1, "has no health checks that can be asked; use ")
NO_HOST = (2, "names no host; give a HOST")
NOBODY = (1, "has no instances on embedded://.")
NO_RUN = (1, "Consul cannot be asked to run a check, and runs each at its interval; use ")
NO_HISTORY = (1, "Consul keeps no history of checks; use ")
NO_CHECKS_THERE = (1, "cannot have any there; leave them out (its lease tells whether the program lives), or use ")
FINE = (0, "")
FAILING = (1, "")
"""It is told on stdout what does not pass."""

NO_HISTORY_NOTE = (0, "keeps no history of checks; use ")
UNABLE = {
    one[1] for one in (NO_LIST, NO_REGISTRATIONS, NO_CHECKS, NO_RUN, NO_HISTORY, NO_HISTORY_NOTE, NO_CHECKS_THERE)
}
"""What is said where another backend can."""
Ends = dict[str, tuple[int, str]]


def of(end: tuple[int, str], *backends: str) -> Ends:
    """The same end on several backends."""
    return dict.fromkeys(backends, end)


WITHOUT_CHECKS = of(NO_CHECKS, "etcd", "kubernetes", "eureka", "dns", "static")
READ_ONLY = of(NO_REGISTRATIONS, "dns", "static")
EMPTY = of(NOBODY, "embedded")
"""The embedded registry begins empty."""
# Of each command the backends on which it does not just work, and what it says there.
TABLE: dict[str, Ends] = {
    "list": {"dns": NO_LIST, "embedded": (0, "no services are registered on embedded://.")},
    "find NAME": EMPTY,
    "find --tag nobody-has-that": {**of((1, "no instance of any service on "), *BACKENDS), "dns": NO_LIST},
    "describe NAME": EMPTY,
    "health NAME": EMPTY,
    "health-check NAME": {"consul": NO_RUN, **WITHOUT_CHECKS, **EMPTY},
    "health-update NAME --status passing --check-name own": {**WITHOUT_CHECKS, **EMPTY},
    "health-list": {**WITHOUT_CHECKS, "embedded": (0, "there are no checks.")},
    "health-history NAME": {"consul": NO_HISTORY, **WITHOUT_CHECKS, **EMPTY},
    "health-summary": {"dns": NO_LIST, "embedded": (0, "no services are registered.")},
    "health-summary --service NAME": EMPTY,
    "status": {"dns": (0, NO_LIST[1])},
    "status --detailed": {"dns": (0, NO_LIST[1])},
    "test-connection": {},
    "debug health-checks NAME": {
        **of(NO_HISTORY_NOTE, "consul", "etcd", "kubernetes", "eureka", "dns", "static"), **EMPTY,
    },
    "debug network": of(NO_HOST, "static", "embedded"),
    "debug register other --port 1 --address 10.9.8.7": of(FAILING, "dns", "static"),
    "register another --port 1 --address 10.9.8.7 --ttl 1h": {
        **of(NO_CHECKS_THERE, "etcd", "kubernetes", "eureka"), **READ_ONLY,
    },
    "deregister NAME --service-id ID": {
        "kubernetes": (1, "was not registered through kubernetes://test/default; remove it"), **READ_ONLY, **EMPTY,
    },
}  # fmt: skip
ELSEWHERE = {"serve", "agent", "config-check", "source", "watch"}
"""Commands that ask no backend, that do what `register --keep` does, or that have a test of their own below."""


@pytest.fixture
def urls(
    homeport: HomeportServer,
    consul: ConsulServer,
    etcd: EtcdServer,
    name: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], str]]:
    """The URL of each backend, where one instance is registered under the name."""
    file = tmp_path_factory.mktemp("static") / "services.yaml"
    slices: list[tuple[ApiServer, Service]] = []
    eurekas: list[EurekaServer] = []

    def prepared(backend: str) -> str:
        match backend:
            case "homeport" | "consul":
                server = homeport if backend == "homeport" else consul
                page = f"{server.url}/v1/status/leader"
                checks = [
                    {"CheckID": f"{name}-own", "Name": "own", "Status": "passing", "TTL": "1h"},
                    {"CheckID": f"{name}-page", "Name": "page", "Status": "passing", "HTTP": page, "Interval": "1h"},
                ]
                body = {"Name": name, "ID": name, "Address": "127.0.0.1", "Port": 80, "Checks": checks}
                call(server.url, "PUT", "/v1/agent/service/register", body)
                return server.backend_url
            case "etcd":
                etcd.put(f"/services/{name}/{name}", '{"address": "127.0.0.1", "port": 80}')
                return etcd.backend_url
            case "kubernetes":
                kubernetes: ApiServer = request.getfixturevalue("kubernetes")
                slices.append((kubernetes, Service(name=name, id=f"id-{name}", address="10.0.0.1", port=80)))
                write_slice(*slices[-1])
                kubeconfig = kubernetes.kubeconfig_for(kubernetes.address)
                return f"kubernetes://test/default?kubeconfig={kubeconfig}"
            case "eureka":
                eureka: EurekaServer = request.getfixturevalue("eureka")
                eureka.register(name, name)
                eurekas.append(eureka)
                return f"eureka://{eureka.address}/eureka"
            case "dns":
                prepared("consul")
                return f"dns://127.0.0.1:{consul.dns_port}/service.consul"
            case "static":
                file.write_text(json.dumps({"services": {name: ["127.0.0.1:80"]}}), encoding="utf-8")
                return f"static://{file}"
        return "embedded://"

    yield prepared
    for server in (homeport, consul):
        with contextlib.suppress(urllib.error.HTTPError):  # not every test registers at all of them
            call(server.url, "PUT", f"/v1/agent/service/deregister/{name}")
    etcd.delete(f"/services/{name}/{name}")
    for kubernetes, service in slices:
        remove_slices(kubernetes, service)
    for eureka in eurekas:
        with contextlib.suppress(urllib.error.HTTPError):  # one test removes it itself
            eureka.cancel(name, name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("command", TABLE)
def test_it_works_or_says_who_can(
    here: InProcess, urls: Callable[[str], str], name: str, command: str, backend: str
) -> None:
    instance = f"id-{name}" if backend == "kubernetes" else name
    places = {"NAME": name, "ID": instance, "another": f"another-{uuid4().hex}"}
    outcome = here(*(places.get(word, word) for word in command.split()), "--backend", urls(backend))
    code, text = TABLE[command].get(backend, FINE)
    assert outcome.code == code, outcome
    assert text in outcome.err
    assert outcome.out or outcome.err.startswith("homeport: ")
    if code != 0:
        assert outcome.err.count("\n") == (1 if text else 0)
    if text in UNABLE:
        named = set(re.findall(r"\((\w+)://\)", outcome.err.partition(text)[2]))
        assert named == able(command, text) - {"embedded"}  # which is a Homeport registry


def able(command: str, text: str) -> set[str]:
    """The backends on which a command works, or fails for another reason than what is said by ``text``."""
    reasons = {text} if text == NO_REGISTRATIONS[1] else UNABLE
    return {backend for backend in BACKENDS if TABLE[command].get(backend, FINE)[1] not in reasons}


def test_every_command_is_in_the_table() -> None:
    assert {command.split()[0] for command in TABLE} | ELSEWHERE >= set(COMMANDS)


@pytest.mark.parametrize("backend", ["etcd", "dns", "static"])
def test_watch(cli: CommandLine, urls: Callable[[str], str], name: str, backend: str) -> None:
    with cli.start("watch", name, "--follow", "--format", "ndjson", "--backend", urls(backend)) as running:
        first = json.loads(running.out.next())
    assert [one["endpoint"] for one in first["instances"]] == ["127.0.0.1:80"]


class TestDatacenters:
    def test_the_one_that_is_not_known_is_named(self, here: InProcess, urls: Callable[[str], str], name: str) -> None:
        for backend in ("homeport", "consul"):
            for command in (("list",), ("find", name), ("health-summary",)):
                outcome = here(*command, "--datacenter", "no-such-dc", "--backend", urls(backend))
                assert outcome.code == 1
                assert 'knows no such datacenter as "no-such-dc"; it cannot' in outcome.err

    def test_an_empty_one_is_named(self, here: InProcess, urls: Callable[[str], str]) -> None:
        outcome = here("list", "--datacenter", "east", "--backend", urls("static"))
        assert outcome.code == 0
        assert 'no services are registered in the datacenter "east" on static://' in outcome.err
