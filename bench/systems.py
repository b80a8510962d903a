"""The two systems that are measured: a durable Consul and a durable Homeport, each with an empty data folder."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer
from tests.servers.install import find


class System(Protocol):
    """A server under measurement."""

    @property
    def url(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def pid(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> object: ...


MANY = {"limits": {"http_max_conns_per_client": 15000}}


@contextlib.contextmanager
def consul() -> Iterator[ConsulServer]:
    """Consul as a server of one, its log on disk as it comes; only its limit of connections is raised."""
    binary = find("consul", os.environ)
    if binary is None:
        raise FileNotFoundError("Consul is not installed; run: python -m tests.servers.install consul")
    with tempfile.TemporaryDirectory(prefix="bench-consul-") as folder:
        server = ConsulServer(binary, Path(folder), dev=False, config=MANY)
        server.start()
        try:
            yield server
        finally:
            server.close()


@contextlib.contextmanager
def homeport() -> Iterator[HomeportServer]:
    """Homeport as ``homeport serve`` starts it, with its data on disk."""
    with tempfile.TemporaryDirectory(prefix="bench-homeport-") as folder:
        server = HomeportServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.close()


@contextlib.contextmanager
def both() -> Iterator[dict[str, System]]:
    """Both at once; the one that is not asked is idle."""
    with consul() as theirs, homeport() as ours:
        yield {"Consul": theirs, "Homeport": ours}


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
