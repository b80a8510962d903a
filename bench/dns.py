"""Questions in DNS for one of 1 000 services of 10 instances, while 100 changes a second are written."""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer
from tests.servers.install import find
from tests.servers.ports import LOOPBACK

from . import population, systems
from .reads import changing
from .results import Table, ratio_row
from .rounds import Spread, alternate, ratios

SERVICES, INSTANCES, CHANGES, CLIENTS, UNDER_WAY = 1000, 10, 100, 16, 64
WARM_UP = 3
CONSUL, HOMEPORT = "service.consul", "company.local"
ZONE = "{dns_discovery: {zones: [{name: company.local, type: homeport}], caching: {enabled: false}}}"
_RATE = re.compile(r"^\s*Queries per second:\s+([\d.]+)$", re.MULTILINE)
_LOST = re.compile(r"^\s*Queries lost:\s+(\d+)", re.MULTILINE)
_MEAN = re.compile(r"^\s*Average Latency \(s\):\s+([\d.]+)", re.MULTILINE)
_CODES = re.compile(r"^\s*Response codes:\s+(.*)$", re.MULTILINE)


class Load(msgspec.Struct, frozen=True):
    """What one run gave: answers a second, and the mean latency in seconds."""

    rate: float
    mean: float


class LoadFailedError(Exception):
    """Some questions were not answered, so the figures mean nothing."""


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """The rate of answers and their mean latency, for addresses and for SRV records."""
    with systems.consul() as theirs, homeport() as ours:
        for system, port, domain in ((theirs, theirs.dns_port, CONSUL), (ours, ours.dns_port, HOMEPORT)):
            population.fill(system.address, services=SERVICES, instances=INSTANCES)
            run(port, questions(domain, "A"), seconds=WARM_UP)  # Homeport begins to follow what it is asked for
        return [_table(kind, _loads(theirs, ours, kind, rounds, seconds)) for kind in ("A", "SRV")]


@contextlib.contextmanager
def homeport() -> Iterator[HomeportServer]:
    """A durable registry that answers for its own services in DNS."""
    with tempfile.TemporaryDirectory(prefix="bench-homeport-") as folder:
        server = HomeportServer(Path(folder), dns=True, config=ZONE)
        server.start()
        try:
            yield server
        finally:
            server.close()


def _loads(theirs: ConsulServer, ours: HomeportServer, kind: str, rounds: int, seconds: int) -> dict[str, list[Load]]:
    def one(address: str, port: int, domain: str) -> Callable[[], Load]:
        def load() -> Load:
            with changing(address, CHANGES):
                return run(port, questions(domain, kind), seconds=seconds)

        return load

    return alternate(
        {
            "Consul": one(theirs.address, theirs.dns_port, CONSUL),
            "Homeport": one(ours.address, ours.dns_port, HOMEPORT),
        },
        rounds,
    )


def questions(domain: str, kind: str) -> list[str]:
    """One for each service, as dnsperf reads them."""
    return [f"service-{n}.{domain} {kind}" for n in range(SERVICES)]


def run(port: int, asked: list[str], *, seconds: int) -> Load:
    """Put load on a server with dnsperf (https://www.dns-oarc.net/tools/dnsperf); all must be answered with records."""
    with tempfile.NamedTemporaryFile("w", suffix=".questions") as file:
        file.write("\n".join(asked) + "\n")
        file.flush()
        command = [
            str(find("dnsperf", os.environ)), "-s", LOOPBACK, "-p", str(port), "-d", file.name, "-l", str(seconds),
            "-c", str(CLIENTS), "-q", str(UNDER_WAY), "-e",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    rate, lost, mean, codes = (found.search(done.stdout) for found in (_RATE, _LOST, _MEAN, _CODES))
    if rate is None or mean is None or lost is None or codes is None:
        raise LoadFailedError(f"dnsperf printed no figures:\n{done.stdout}{done.stderr}")
    if int(lost[1]) or not re.fullmatch(r"NOERROR \d+ \(100\.00%\)", codes[1].strip()):
        raise LoadFailedError(f"{lost[1]} questions were lost, and the answers were {codes[1]}")
    return Load(float(rate[1]), float(mean[1]))


def _table(kind: str, loads: dict[str, list[Load]]) -> Table:
    ours, theirs = loads["Homeport"], loads["Consul"]
    rate = ratios([load.rate for load in ours], [load.rate for load in theirs])
    mean = ratios([load.mean for load in ours], [load.mean for load in theirs])
    rows = [
        ratio_row(
            f"{kind}: answers/s", Spread.of([load.rate for load in ours]), Spread.of([load.rate for load in theirs]),
            rate, target="> 1×", met=rate.median > 1,
        ),
        ratio_row(
            f"{kind}: mean, ms", Spread.of([load.mean * 1e3 for load in ours]),
            Spread.of([load.mean * 1e3 for load in theirs]), mean, target="< 1×", met=mean.median < 1,
        ),
    ]  # fmt: skip
    return Table(
        f"DNS, {kind}",
        f"Questions by UDP with EDNS for {kind} records of X, uniform over {SERVICES} services of {INSTANCES} "
        f"instances, {UNDER_WAY} under way, while {CHANGES} changes/s are written. Both answer with all 10.",
        rows,
    )
