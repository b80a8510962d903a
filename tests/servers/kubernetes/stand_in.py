"""The stand-in for an API server, as a process."""

import shutil
import sys
from pathlib import Path

from tests.servers.kubernetes.api_server import ApiServer
from tests.servers.kubernetes.simulation.__main__ import TOKEN_VARIABLE
from tests.servers.ports import PortLease
from tests.servers.process import ServerProcess

ROOT = Path(__file__).parents[3]


class KubernetesStandIn(ApiServer):
    """A small server with the API's conventions, for machines without a real one; `simulation` tells its limits."""

    real = False

    def __init__(self, folder: Path) -> None:
        self._lease = PortLease()
        super().__init__(folder, self._lease.ports[0])
        environment = {TOKEN_VARIABLE: self.admin_token, "PYTHONPATH": str(ROOT)}
        self._process = ServerProcess(f"kubernetes-stand-in-{self.port}", folder, environment=environment)

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process.running

    @property
    def log_path(self) -> Path:
        """The log of the server, over all its starts."""
        return self._process.log_path

    def start(self) -> None:
        """Start, and wait until it is ready."""
        self._process.spawn(
            [
                *(sys.executable, "-m", "tests.servers.kubernetes.simulation"),
                f"--port={self.port}",
                f"--data={self.folder / 'data'}",
                f"--certificate={self.certificate}",
                f"--key={self.key}",
            ]
        )
        try:
            self._process.wait_ready(self._is_ready)
            self.version = self.request("GET", "/version")["gitVersion"]
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> None:
        """End it in an orderly way (SIGTERM)."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()

    def wipe(self) -> None:
        """Remove the data of a stopped server."""
        if self.running:
            raise RuntimeError("a running stand-in cannot be wiped; stop it first")
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def compact(self, *, as_status: bool = False) -> None:
        """Forget what was before now.

        A watch from an older resourceVersion is told so by an ERROR event, as a real API server does it, or with
        `as_status` by the status of its answer, as aggregated API servers and older ones do it.
        """
        self.request("POST", "/stand-in/compact", {"asStatus": as_status})

    def overload(self, requests: int) -> None:
        """Answer so many requests with 429, as an API server does that has too much to do."""
        self.request("POST", "/stand-in/overload", {"requests": requests})

    def close(self) -> None:
        """End it and let its port go."""
        self.kill()
        self._lease.release()
