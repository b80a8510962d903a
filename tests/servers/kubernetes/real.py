"""A real kube-apiserver over an etcd of its own."""

from collections.abc import Sequence
from pathlib import Path

from tests.servers.etcd import EtcdServer
from tests.servers.kubernetes.api_server import ApiServer
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import ServerProcess


class KubernetesServer(ApiServer):
    """An API server of Kubernetes whose data are in an etcd that starts and ends with it.

    `arguments` are further flags of kube-apiserver.
    """

    real = True

    def __init__(self, kube_apiserver: Path, etcd: Path, folder: Path, *, arguments: Sequence[str] = ()) -> None:
        self._lease = PortLease()
        super().__init__(folder, self._lease.ports[0])
        self._binary = kube_apiserver
        self._arguments = tuple(arguments)
        self._etcd = EtcdServer(etcd, folder / "etcd")
        self._process = ServerProcess(f"kube-apiserver-{self.port}", folder)
        self._token_file = folder / "tokens.csv"
        self._token_file.write_text(f"{self.admin_token},admin,admin,system:masters\n", encoding="utf-8")
        _, self._signing_key = self.authority.issue("service-accounts")

    @property
    def running(self) -> bool:
        """Whether the API server's process is there."""
        return self._process.running

    @property
    def log_path(self) -> Path:
        """The log of the API server, over all its starts."""
        return self._process.log_path

    def start(self) -> None:
        """Start etcd and the API server, and wait until it is ready."""
        self._etcd.start()
        try:
            self._start_api()
        except BaseException:
            self._etcd.kill()
            raise

    def stop(self) -> None:
        """End the API server in an orderly way (SIGTERM), then its etcd."""
        self._process.stop()
        self._etcd.stop()

    def kill(self) -> None:
        """End both at once (SIGKILL)."""
        self._process.kill()
        self._etcd.kill()

    def wipe(self) -> None:
        """Remove what is in the etcd of a stopped server."""
        if self.running:
            raise RuntimeError("a running API server cannot be wiped; stop it first")
        self._etcd.wipe()

    def compact(self) -> None:
        """Compact etcd, and start the API server anew, since what it remembers itself cannot be compacted."""
        revision = self.request("GET", "/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"]
        self._process.kill()
        self._etcd.compact(int(revision))
        self._start_api()

    def close(self) -> None:
        """End both and let their ports go."""
        self._process.kill()
        self._etcd.close()
        self._lease.release()

    def _start_api(self) -> None:
        self._process.spawn(self._command())
        try:
            self._process.wait_ready(self._is_ready)
            self.version = self.request("GET", "/version")["gitVersion"]
        except BaseException:
            self._process.kill()
            raise

    def _command(self) -> list[str]:
        return [
            str(self._binary),
            f"--etcd-servers={self._etcd.url}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.certificate}",
            f"--tls-private-key-file={self.key}",
            f"--client-ca-file={self.authority.certificate}",
            f"--token-auth-file={self._token_file}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://localhost",
            f"--service-account-key-file={self._signing_key}",
            f"--service-account-signing-key-file={self._signing_key}",
            "--service-cluster-ip-range=10.0.0.0/16",
            # It would try again and again to announce an address of loopback, which no endpoint may have.
            "--endpoint-reconciler-type=none",
            # There is no controller that would make the ServiceAccount which every Pod has to have.
            "--disable-admission-plugins=ServiceAccount",
            *self._arguments,
        ]
