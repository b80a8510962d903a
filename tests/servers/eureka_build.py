"""Builds the Eureka server of the tests by Maven, ready for a quick start."""

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

from tests.servers.apt import PrivateApt
from tests.servers.eureka import EurekaServer
from tests.servers.java import Java, find_java, unpack_java

APPLICATION = Path(__file__).parent / "eureka_application"
BUILD_TIMEOUT = 900.0
# Small and soon ready matter more than speed in the long run.
OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xms32m -Xmx128m"
ARCHIVE = "classes.jsa"


class BuildFailedError(Exception):
    """The server could not be built; the text says why."""


def application_version() -> str:
    """Changes with every file that the server is made of, and with the way it is made."""
    files = [Path(__file__), *sorted(path for path in APPLICATION.rglob("*") if path.is_file())]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def build_eureka(root: Path, work: Path) -> Path:
    """Build into `root` and return the launcher there; `work` is a folder for what is not kept.

    `BuildFailedError`, or `AptUnavailableError` where Java has to come from Debian's packages and does not.
    """
    java = find_java(os.environ) or unpack_java(PrivateApt(work / "apt"), root / "debian")
    source = work / "application"
    shutil.copytree(APPLICATION, source)
    _run_maven(java, source)
    shutil.copy(source / "target" / "eureka-server.jar", root)
    shutil.copytree(source / "target" / "lib", root / "lib")
    # The first run notes which classes it loaded; all later ones map them into memory, which halves their start.
    launcher = _write_launcher(root, java, f"-XX:ArchiveClassesAtExit={ARCHIVE}")
    _exercise(EurekaServer(launcher, work / "first-run"))
    return _write_launcher(root, java, f"-XX:SharedArchiveFile={ARCHIVE}")


def _run_maven(java: Java, source: Path) -> None:
    command = [*java.maven, "--batch-mode", "--quiet", "package"]
    environment = {**os.environ, **java.environment}
    try:
        done = subprocess.run(
            command, cwd=source, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise BuildFailedError(f"Maven did not finish within {BUILD_TIMEOUT:g} s") from None
    if done.returncode != 0:
        lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if "ERROR" in line]
        raise BuildFailedError(f"Maven failed: {' '.join(lines[:3]) or done.stderr[-300:]}")


def _write_launcher(root: Path, java: Java, archive: str) -> Path:
    """A script that starts the server from wherever the folder is; class archives hold for relative paths only."""
    program = f"$root/{java.java.relative_to(root)}" if java.java.is_relative_to(root) else str(java.java)
    libraries = java.environment.get("LD_LIBRARY_PATH", "").replace(str(root), "$root")
    launcher = root / "bin" / "eureka"
    launcher.parent.mkdir(exist_ok=True)
    launcher.write_text(
        "#!/bin/sh\n"
        'root=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
        'cd "$root" || exit 1\n'
        + (f'export LD_LIBRARY_PATH="{libraries}"\n' if libraries else "")
        + f'exec "{program}" {OPTIONS} {archive} -Djava.io.tmpdir="${{TMPDIR:-/tmp}}" -jar eureka-server.jar "$@"\n',
        encoding="utf-8",
    )
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return launcher


def _exercise(server: EurekaServer) -> None:
    """Use everything once that tests use, in each form of answer."""
    try:
        server.start()
        server.register("first", "first-1", metadata={"kept": "yes"})
        server.heartbeat("first", "first-1")
        server.set_status("first", "first-1", "DOWN")
        for path in ("/apps", "/apps/delta", "/apps/FIRST", "/apps/FIRST/first-1", "/vips/first"):
            server.request("GET", path)
        server.cancel("first", "first-1")
        server.stop()
    finally:
        server.close()
