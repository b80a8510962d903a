"""Which API server the tests talk to: a real one where its programs are found, else the stand-in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.install import NotInstalledError, find, output_of
from tests.servers.kubernetes.api_server import ApiServer
from tests.servers.kubernetes.real import KubernetesServer
from tests.servers.kubernetes.stand_in import KubernetesStandIn

# Where envtest of controller-runtime looks, too.
ASSETS = "KUBEBUILDER_ASSETS"
ASSETS_FOLDER = Path("/usr/local/kubebuilder/bin")
SWITCH = "HOMEPORT_TEST_KUBERNETES"
STAND_IN, REAL = "stand-in", "real"


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The two programs of a real API server."""

    kube_apiserver: Path
    etcd: Path

    def server(self, folder: Path) -> KubernetesServer:
        """A server, not started yet."""
        return KubernetesServer(self.kube_apiserver, self.etcd, folder)

    def __str__(self) -> str:
        return f"a real API server, {output_of([str(self.kube_apiserver), '--version']).strip()}"


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """No program: the stand-in is here."""

    def server(self, folder: Path) -> KubernetesStandIn:
        """A server, not started yet."""
        return KubernetesStandIn(folder)

    def __str__(self) -> str:
        return "a stand-in; not proved on a real API server"


def find_programs(environ: Mapping[str, str]) -> Programs | None:
    """The programs to use: those of `KUBEBUILDER_ASSETS`, of its usual folder, or the installed ones; else None.

    `NotInstalledError` if the variable names a folder without them.
    """
    named = environ.get(ASSETS, "")
    for folder in (Path(named),) if named else (ASSETS_FOLDER,):
        programs = Programs(kube_apiserver=folder / "kube-apiserver", etcd=folder / "etcd")
        if os.access(programs.kube_apiserver, os.X_OK) and os.access(programs.etcd, os.X_OK):
            return programs
    if named:
        raise NotInstalledError(f"{ASSETS} names {named}, which has no kube-apiserver or no etcd")
    kube_apiserver = find("kube-apiserver", environ)
    # Its etcd is beside it: Debian's is too old for a current API server.
    if kube_apiserver is None:
        return None
    etcd = kube_apiserver.parent / "etcd"
    if not os.access(etcd, os.X_OK):
        raise NotInstalledError(f"there is no etcd beside {kube_apiserver}; put one there, or set {ASSETS}")
    return Programs(kube_apiserver=kube_apiserver, etcd=etcd)


def choose(environ: Mapping[str, str]) -> Programs | StandIn:
    """What the tests use; `HOMEPORT_TEST_KUBERNETES=stand-in` or `real` forces one.

    `NotInstalledError` if a real one is asked for and there is none.
    """
    wanted = environ.get(SWITCH, "")
    if wanted not in {"", STAND_IN, REAL}:
        raise NotInstalledError(f"{SWITCH} is {wanted!r}; set it to {STAND_IN!r} or {REAL!r}, or not at all")
    programs = None if wanted == STAND_IN else find_programs(environ)
    if programs is None and wanted == REAL:
        raise NotInstalledError(
            f"{SWITCH} asks for a real API server, and none was found; run: python -m tests.servers.install "
            f"kube-apiserver, or set {ASSETS} to the folder of both programs"
        )
    return programs or StandIn()


def make_server(folder: Path, environ: Mapping[str, str]) -> ApiServer:
    """A server of the kind that was chosen, not started yet."""
    return choose(environ).server(folder)
