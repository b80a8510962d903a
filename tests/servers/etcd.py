"""A real etcd on loopback."""

import base64
import shutil
import ssl
import urllib.error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.api import call
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import ServerProcess

# One member needs nobody's vote, and with these it elects itself at once and grants leases of one second.
HASTE = ("--heartbeat-interval=10", "--election-timeout=100")
# Members on a busy machine need more time to hear of each other.
CALM = ("--heartbeat-interval=100", "--election-timeout=1000")


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """What a member shows, and by whom the certificates that clients have to show must be issued."""

    certificate: Path
    key: Path
    authority: Path


class EtcdServer:
    """One etcd, whose data outlive `stop` and `kill`; `form_cluster` makes several of them one.

    Ports and folder stay the same over restarts. `certificates` puts TLS on, with certificates of clients.
    All methods block; a test that has work on its event loop calls them by `asyncio.to_thread`.
    """

    def __init__(
        self,
        binary: Path,
        folder: Path,
        *,
        certificates: Certificates | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._binary = binary
        self._certificates = certificates
        self._arguments = tuple(arguments)
        self._lease = PortLease(2)
        self._process = ServerProcess(f"etcd-{self._lease.ports[0]}", folder)
        self._members = {self.name: self.peer_url}
        self._pace = HASTE

    @property
    def name(self) -> str:
        """The name of the member."""
        return f"m{self._lease.ports[0]}"

    @property
    def address(self) -> str:
        """HOST:PORT for clients."""
        return f"{LOOPBACK}:{self._lease.ports[0]}"

    @property
    def peer_url(self) -> str:
        """The URL for other members."""
        return f"http://{LOOPBACK}:{self._lease.ports[1]}"

    @property
    def url(self) -> str:
        """The address for clients as a URL, without a slash at its end."""
        return f"{'https' if self._certificates else 'http'}://{self.address}"

    @property
    def backend_url(self) -> str:
        """The address in the form that Homeport's `--backend` takes."""
        return f"etcd://{self.address}"

    @property
    def log_path(self) -> Path:
        """The log, over all starts."""
        return self._process.log_path

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.running

    def spawn(self) -> None:
        """Start the process, and wait for nothing."""
        self._process.spawn(self._command())

    def wait_ready(self) -> None:
        """Wait until there is a leader and the member answers."""
        try:
            self._process.wait_ready(self._answers)
        except BaseException:
            self._process.kill()
            raise

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.spawn()
        self.wait_ready()

    def stop(self) -> None:
        """End it in an orderly way (SIGTERM)."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()

    def wipe(self) -> None:
        """Remove the data of a stopped member, so that it starts as a new one."""
        if self.running:
            raise RuntimeError("a running etcd cannot be wiped; stop it first")
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def close(self) -> None:
        """End it and let its ports go."""
        self.kill()
        self._lease.release()

    def request(self, path: str, body: Mapping[str, Any]) -> Any:
        """One call of the JSON gateway, for what a test arranges or looks up.

        `urllib.error.HTTPError` for an answer that is no success.
        """
        return call(self.url, "POST", path, body)

    def put(self, key: str, value: str, *, lease: str = "0") -> int:
        """Write a key; the revision."""
        answer = self.request("/v3/kv/put", {"key": _encoded(key), "value": _encoded(value), "lease": lease})
        return int(answer["header"]["revision"])

    def get(self, prefix: str) -> dict[str, str]:
        """The keys that begin with a prefix, with their values."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        answer = self.request("/v3/kv/range", {"key": _encoded(prefix), "range_end": _encoded(end)})
        return {_decoded(found["key"]): _decoded(found.get("value", "")) for found in answer.get("kvs", [])}

    def delete(self, key: str) -> None:
        """Remove a key."""
        self.request("/v3/kv/deleterange", {"key": _encoded(key)})

    def compact(self, revision: int) -> None:
        """Forget what was before a revision."""
        self.request("/v3/kv/compaction", {"revision": str(revision), "physical": True})

    def _command(self) -> list[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(self._binary),
            f"--name={self.name}",
            f"--data-dir={self.folder / 'data'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={','.join(f'{name}={url}' for name, url in self._members.items())}",
            "--logger=zap",
            "--log-level=warn",
            *self._pace,
        ]
        if self._certificates is not None:
            command += [
                f"--cert-file={self._certificates.certificate}",
                f"--key-file={self._certificates.key}",
                "--client-cert-auth",
                f"--trusted-ca-file={self._certificates.authority}",
            ]
        return [*command, *self._arguments]

    def _answers(self) -> bool:
        if self._certificates is not None:
            return self._reaches_tls()
        try:
            return bool(self.request("/v3/maintenance/status", {}).get("leader"))
        except (urllib.error.URLError, OSError, TimeoutError):
            return False

    def _reaches_tls(self) -> bool:
        """Whether the port speaks TLS, which it does once the member is ready."""
        try:
            ssl.get_server_certificate((LOOPBACK, self._lease.ports[0]), timeout=2.0)
        except OSError:
            return False
        return True


def form_cluster(members: Sequence[EtcdServer]) -> None:
    """Let members that never ran begin as one cluster, and start them."""
    everybody = {member.name: member.peer_url for member in members}
    for member in members:
        member._members = everybody
        member._pace = CALM
        member.spawn()
    for member in members:
        member.wait_ready()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
