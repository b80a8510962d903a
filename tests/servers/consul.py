"""A real Consul agent on loopback."""

import json
import shutil
import urllib.error
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers.api import call
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import ServerProcess

# An agent that just started must have written its own node before a test registers anything.
OWN_CHECK = "serfHealth"


class ConsulServer:
    """A Consul agent, in memory (`dev=True`) or a durable server of one, whose data outlives `stop` and `kill`.

    Ports and folder stay the same over restarts. `config` is merged into the agent's configuration as a JSON file.
    All methods block; a test that has work on its event loop calls them by `asyncio.to_thread`.
    """

    def __init__(
        self,
        binary: Path,
        folder: Path,
        *,
        dev: bool = True,
        datacenter: str = "dc1",
        node: str = "consul-test",
        config: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.dev = dev
        self.datacenter = datacenter
        self.node = node
        self.folder = folder
        self.token = ""
        self._binary = binary
        self._config = dict(config or {})
        self._arguments = tuple(arguments)
        self._lease = PortLease(6)
        self._process = ServerProcess(f"consul-{self._lease.ports[0]}", folder)

    @property
    def http_port(self) -> int:
        """The port of the HTTP API."""
        return self._lease.ports[0]

    @property
    def dns_port(self) -> int:
        """The port of DNS, by UDP and TCP."""
        return self._lease.ports[1]

    @property
    def address(self) -> str:
        """HOST:PORT of the HTTP API."""
        return f"{LOOPBACK}:{self.http_port}"

    @property
    def url(self) -> str:
        """The address of the HTTP API, without a slash at its end."""
        return f"http://{self.address}"

    @property
    def backend_url(self) -> str:
        """The address in the form that Homeport's `--backend` takes."""
        return f"consul://{self.address}"

    @property
    def data_folder(self) -> Path:
        """Where a durable agent keeps its data."""
        return self.folder / "data"

    @property
    def log_path(self) -> Path:
        """The log of the agent, over all its starts."""
        return self._process.log_path

    @property
    def running(self) -> bool:
        """Whether the agent's process is there."""
        return self._process.running

    @property
    def pid(self) -> int:
        """The id of the agent's process."""
        return self._process.pid

    def start(self) -> None:
        """Start the agent and wait until it leads and has written its own node."""
        self._process.spawn(self._command())
        try:
            self._process.wait_ready(self._leads)
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> None:
        """End the agent in an orderly way (SIGTERM)."""
        self._process.stop()

    def kill(self) -> None:
        """End the agent at once (SIGKILL)."""
        self._process.kill()

    def restart(self) -> None:
        """Stop and start on the same ports; a durable agent keeps its data."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Remove the data of a stopped agent, so that it starts as a new one."""
        if self.running:
            raise RuntimeError("a running agent cannot be wiped; stop it first")
        shutil.rmtree(self.data_folder, ignore_errors=True)

    def close(self) -> None:
        """End the agent and let its ports go."""
        self.kill()
        self._lease.release()

    def request(self, method: str, path: str, body: object = None) -> Any:
        """One call of the HTTP API, for what a test arranges or looks up; None for an empty answer.

        `urllib.error.HTTPError` for an answer that is no success.
        """
        return call(self.url, method, path, body, token=self.token)

    def _command(self) -> list[str]:
        http, dns, grpc, serf_lan, serf_wan, rpc = self._lease.ports
        self.folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {
            "ports": {
                "http": http,
                "dns": dns,
                "grpc": grpc,
                "serf_lan": serf_lan,
                "serf_wan": serf_wan,
                "server": rpc,
            },
            "bind_addr": LOOPBACK,
            "client_addr": LOOPBACK,
            "datacenter": self.datacenter,
            "node_name": self.node,
            "disable_update_check": True,
            # Elections and check updates at once: these are one-server tests, not a cluster's life.
            "performance": {"raft_multiplier": 1},
            # A connection whose blocking query was given up counts until that query's wait is over, so that the tests
            # that share an agent would exhaust the default of 200.
            "limits": {"http_max_conns_per_client": 10_000},
        }
        config_file = self.folder / "consul.json"
        config_file.write_text(json.dumps(settings | self._config), encoding="utf-8")
        mode = ["-dev"] if self.dev else ["-server", "-bootstrap-expect=1", f"-data-dir={self.data_folder}"]
        return [str(self._binary), "agent", *mode, f"-config-file={config_file}", *self._arguments]

    def _leads(self) -> bool:
        try:
            if not self.request("GET", "/v1/status/leader"):
                return False
            acl = self._config.get("acl", {})
            token = self.token or acl.get("tokens", {}).get("master", "")
            # Where ACLs deny by default this list is empty without a token: a leader is then all that can be seen.
            if acl.get("default_policy") == "deny" and not token:
                return True
            checks = call(self.url, "GET", f"/v1/health/node/{self.node}", token=token)
        except (urllib.error.URLError, OSError, TimeoutError):
            return False
        return any(check["CheckID"] == OWN_CHECK and check["Status"] == "passing" for check in checks)
