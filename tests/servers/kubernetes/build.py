"""Builds kube-apiserver and the etcd that it needs from their Go modules, by the machine's own `go`."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.servers.eureka_build import BuildFailedError

MODULE = "k8s.io/kubernetes"
VERSION = "1.36.3"
# The parts that Kubernetes publishes as modules of their own carry its version as v0.MINOR.PATCH.
STAGING_VERSION = f"v0.{VERSION.partition('.')[2]}"
KUBE_APISERVER = f"{MODULE}/cmd/kube-apiserver"
ETCD = "go.etcd.io/etcd/server/v3"
BUILD_TIMEOUT = 1800.0


def build_kube_apiserver(root: Path, work: Path) -> Path:
    """Build both programs into `root`/bin and return kube-apiserver; `work` is a folder for what is not kept.

    `BuildFailedError` if there is no `go`, or it fails.
    """
    go = shutil.which("go")
    if go is None:
        raise BuildFailedError("there is no go on the PATH; on Debian: apt-get install golang")
    module = work / "module"
    module.mkdir()
    _run(go, module, "mod", "init", "apiserver.test")
    # Its own go.mod points at folders of its repository; outside of it they are the published modules.
    downloaded = json.loads(_run(go, module, "mod", "download", "-json", f"{MODULE}@v{VERSION}"))
    own: dict[str, Any] = json.loads(_run(go, module, "mod", "edit", "-json", downloaded["GoMod"]))
    staging = [entry["Old"]["Path"] for entry in own["Replace"] if entry["New"]["Path"].startswith("./staging/")]
    etcd_version = next(entry["Version"] for entry in own["Require"] if entry["Path"] == ETCD)
    _run(
        go,
        module,
        "mod",
        "edit",
        f"-go={own['Go']}",
        *(f"-replace={path}={path}@{STAGING_VERSION}" for path in staging),
        f"-require={MODULE}@v{VERSION}",
        f"-require={ETCD}@{etcd_version}",
    )
    programs = root / "bin"
    programs.mkdir()
    major, minor, _ = VERSION.split(".")
    told = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items()]
    for package, name in ((KUBE_APISERVER, "kube-apiserver"), (ETCD, "etcd")):
        flags = ["-mod=mod", "-buildvcs=false", "-trimpath", f"-ldflags=-s -w {' '.join(stamps)}"]
        _run(go, module, "build", *flags, "-o", str(programs / name), package)
    return programs / "kube-apiserver"


def _run(go: str, folder: Path, *arguments: str) -> str:
    command = [go, *arguments]
    environment = {**os.environ, "CGO_ENABLED": "0"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise BuildFailedError(f"go {arguments[0]} did not finish within {BUILD_TIMEOUT:g} s") from None
    if done.returncode != 0:
        raise BuildFailedError(f"go {arguments[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
