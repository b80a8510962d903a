"""A real Homeport registry: `homeport serve` as a process of its own."""

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers.api import call
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import ServerProcess

PROGRAM = (sys.executable, "-m", "homeport")
READY_LINE = re.compile(r"^homeport ready(?P<listeners>(?: [a-z_]+=\S+)+)$")


def parse_ready_line(line: str) -> dict[str, str]:
    """The listeners of `homeport ready http=HOST:PORT dns=HOST:PORT …` by name; `ValueError` for another line."""
    match = READY_LINE.match(line)
    if match is None:
        raise ValueError(f"expected 'homeport ready http=HOST:PORT …', got {line!r}")
    return dict(item.split("=", 1) for item in match["listeners"].split())


class HomeportServer:
    """`homeport serve` on loopback, with a data folder that outlives `stop` and `kill`.

    It gets a leased port, so that it comes back on the same one; `http` may name another address instead (HOST:0 lets
    the server choose). With `dns` it serves DNS as well. The addresses really used are read from its ready line.
    `config` is the text of a configuration file. `arguments` are added to the command line, `environment` to the
    environment. All methods block; a test that has work on its event loop calls them by `asyncio.to_thread`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        http: str | None = None,
        dns: bool = False,
        dev: bool = False,
        config: str | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.dev = dev
        self.token = ""
        self._config = config
        self._arguments = tuple(arguments)
        self._lease = PortLease(2)
        self._http = f"{LOOPBACK}:{self._lease.ports[0]}" if http is None else http
        self._dns = f"{LOOPBACK}:{self._lease.ports[1]}" if dns else ""
        self._listeners: dict[str, str] = {}
        self._process = ServerProcess(f"homeport-{self._lease.ports[0]}", folder, environment=environment)

    @property
    def listeners(self) -> dict[str, str]:
        """Every listener of the ready line: its name and HOST:PORT."""
        if not self._listeners:
            raise RuntimeError("the server was not started yet")
        return dict(self._listeners)

    @property
    def address(self) -> str:
        """HOST:PORT of the HTTP API."""
        return self.listeners["http"]

    @property
    def http_port(self) -> int:
        """The port of the HTTP API."""
        return int(self.address.rpartition(":")[2])

    @property
    def dns_port(self) -> int:
        """The port of DNS, by UDP and TCP; `KeyError` if the server has no DNS listener."""
        return int(self.listeners["dns"].rpartition(":")[2])

    @property
    def url(self) -> str:
        """The address of the HTTP API, without a slash at its end."""
        return f"http://{self.address}"

    @property
    def backend_url(self) -> str:
        """The address in the form that Homeport's `--backend` takes."""
        return f"homeport://{self.address}"

    @property
    def data_folder(self) -> Path:
        """Where the server keeps its data."""
        return self.folder / "data"

    @property
    def log_path(self) -> Path:
        """Stdout and stderr of the server, over all its starts."""
        return self._process.log_path

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process.running

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait for its ready line."""
        self._process.spawn(self._command(), stdout_apart=True)
        try:
            self._listeners = parse_ready_line(self._process.first_line())
        except ValueError as error:
            self._process.kill()
            raise self._process.failure(f"is not ready: {error}") from None
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> int:
        """End the server in an orderly way (SIGTERM); its exit status."""
        return self._process.stop()

    def kill(self) -> None:
        """End the server at once (SIGKILL)."""
        self._process.kill()

    def restart(self) -> None:
        """Stop and start on the same addresses, with the same data."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Remove the data of a stopped server, so that it starts as a new one."""
        if self.running:
            raise RuntimeError("a running server cannot be wiped; stop it first")
        shutil.rmtree(self.data_folder, ignore_errors=True)

    def close(self) -> None:
        """End the server and let its ports go."""
        self.kill()
        self._lease.release()

    def request(self, method: str, path: str, body: object = None) -> Any:
        """One call of the HTTP API, for what a test arranges or looks up; None for an empty answer.

        `urllib.error.HTTPError` for an answer that is no success.
        """
        return call(self.url, method, path, body, token=self.token)

    def _command(self) -> list[str]:
        # Once a server chose a port by itself, a restart comes back to it.
        command = [*PROGRAM, "serve", "--http", self._listeners.get("http", self._http)]
        if self._dns:
            command += ["--dns", self._dns]
        command += ["--dev"] if self.dev else ["--data-dir", str(self.data_folder)]
        if self._config is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            config_file = self.folder / "homeport.yaml"
            config_file.write_text(self._config, encoding="utf-8")
            command += ["--config", str(config_file)]
        return [*command, *self._arguments]
