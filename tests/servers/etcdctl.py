"""etcd's own command, which writes and reads apart from the client that is tested."""

import subprocess
from pathlib import Path

from tests.servers.process import clean_environment

_PATIENCE = 60.0


class Etcdctl:
    """`etcdctl("get", "/services/")` is what the command prints; `CalledProcessError` if it fails.

    `stdin` is what it may read there.
    """

    def __init__(self, binary: Path, address: str, *, user: str = "") -> None:
        patience = (f"--dial-timeout={_PATIENCE:g}s", f"--command-timeout={_PATIENCE:g}s")
        self._command = [str(binary), f"--endpoints={address}", *patience, *([f"--user={user}"] if user else [])]

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        result = subprocess.run(
            [*self._command, *arguments],
            env=clean_environment({"ETCDCTL_API": "3"}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
        return result.stdout
