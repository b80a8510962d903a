"""A web server as a process of its own, and what the registry knows of it."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.homeport import HomeportServer
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import ServerProcess, clean_environment, wait_until

HERE = Path(__file__).parent
TIMEOUT = 60.0


class WebServer(ServerProcess):
    """A Python module that serves on `port`."""

    def __init__(self, name: str, folder: Path, port: int, environment: Mapping[str, str]) -> None:
        super().__init__(name, folder, environment={"PYTHONPATH": str(HERE), **environment})
        self.port = port

    def text(self, path: str) -> str:
        """What is answered to a GET; `urllib.error.URLError` if nobody answers."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}{path}", timeout=TIMEOUT) as answer:
            return str(answer.read().decode())

    def json(self, path: str) -> Any:
        """The JSON that is answered to a GET."""
        return json.loads(self.text(path))

    @property
    def log(self) -> str:
        """Everything that it wrote so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")


@contextmanager
def serving(
    folder: Path,
    command: Sequence[str],
    *,
    backend: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[WebServer]:
    """Run `python -m COMMAND`, in which PORT stands for a leased port, until the end of the block."""
    with PortLease() as lease:
        (port,) = lease.ports
        server = WebServer(f"web-{port}", folder, port, {"HOMEPORT_BACKEND": backend, **(environment or {})})
        try:
            server.spawn([sys.executable, "-m", *(part.replace("PORT", str(port)) for part in command)])
            yield server
        finally:
            server.kill()


def passing(registry: HomeportServer, service: str) -> list[dict[str, Any]]:
    """The passing instances of a service, as the registry lists them."""
    entries: list[dict[str, Any]] = registry.request("GET", f"/v1/health/service/{service}?passing=1")
    return [entry["Service"] for entry in entries]


PRINT_SERVICES = """
import urllib.request
def print_services():
    with urllib.request.urlopen({url!r}) as answer:
        print(answer.read().decode())
"""


def services_seen_by(program: str, registry: HomeportServer, environment: Mapping[str, str]) -> str:
    """Run a program in which `print_services()` prints what is registered at that moment; what it printed."""
    preamble = PRINT_SERVICES.format(url=f"{registry.url}/v1/catalog/services")
    done = subprocess.run(
        [sys.executable, "-c", preamble + program],
        env=clean_environment({"HOMEPORT_BACKEND": registry.backend_url, "PYTHONPATH": str(HERE), **environment}),
        check=True,
        timeout=TIMEOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout
    return done.stdout


def wait_for(registry: HomeportServer, service: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many instances of a service pass; they."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = passing(registry, service)
        return len(found) == count

    wait_until(there, timeout=TIMEOUT, what=f"{count} passing instances of {service}")
    return found
