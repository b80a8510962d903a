"""Install the servers that tests and measurements need, into the user's cache, without root.

Usage: python -m tests.servers.install NAME...    (wrk and dnsperf are for `make bench`, all others are for tests)

Idempotent, and quick when everything is there; several callers at once wait for each other. A server of one's own is
used instead when `HOMEPORT_TEST_CONSUL` (or `HOMEPORT_TEST_WRK`) names its program.
"""

import argparse
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.apt import AptUnavailableError, PrivateApt, library_folders
from tests.servers.bind import BindServer
from tests.servers.consul import ConsulServer
from tests.servers.dnsmasq import DnsmasqServer
from tests.servers.etcd import EtcdServer
from tests.servers.eureka import EurekaServer
from tests.servers.eureka_build import BuildFailedError, application_version, build_eureka
from tests.servers.kubernetes.build import VERSION as KUBERNETES_VERSION
from tests.servers.kubernetes.build import build_kube_apiserver
from tests.servers.kubernetes.real import KubernetesServer
from tests.servers.process import ServerFailedError

RUN_TIMEOUT = 30.0


class NotInstalledError(Exception):
    """A program could not be installed or does not work; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program of a Debian package; `suite` None stands for the machine's own release.

    One that is built instead has `build`: given the folder to make it in and another for what is not kept, it returns
    the program.
    """

    name: str
    version: str
    verify: Callable[[Path, Path], None]
    suite: str | None = None
    path: str = ""
    package: str = ""  # where it has another name
    build: Callable[[Path, Path], Path] | None = None

    @property
    def variable(self) -> str:
        """The environment variable that names a program of one's own."""
        return f"HOMEPORT_TEST_{self.name.upper().replace('-', '_')}"

    @property
    def install_line(self) -> str:
        """The command that installs it."""
        return f"python -m tests.servers.install {self.name}"


def output_of(command: list[str]) -> str:
    """What a short command prints; `NotInstalledError` if it cannot run."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{command[0]} does not run: {error}") from None
    return result.stdout + result.stderr


def verify_consul(binary: Path, folder: Path) -> None:
    """Consul tells its version, and a development agent starts, answers and stops."""
    if not output_of([str(binary), "version"]).startswith("Consul v"):
        raise NotInstalledError(f"{binary} does not tell a version of Consul")
    server = ConsulServer(binary, folder)
    try:
        server.start()
        if server.request("GET", "/v1/agent/self")["Config"]["NodeName"] != server.node:
            raise NotInstalledError(f"the agent of {binary} answers for another node")
    except ServerFailedError as error:
        raise NotInstalledError(str(error)) from None
    finally:
        server.close()


def verify_wrk(binary: Path, folder: Path) -> None:
    """Wrk tells its version."""
    if not output_of([str(binary), "--version"]).startswith("wrk "):
        raise NotInstalledError(f"{binary} does not tell a version of wrk")


def verify_dnsperf(binary: Path, folder: Path) -> None:
    """Dnsperf tells its version."""
    if not output_of([str(binary), "-h"]).startswith("DNS Performance Testing Tool"):
        raise NotInstalledError(f"{binary} does not tell what it is")


def verify_etcd(binary: Path, folder: Path) -> None:
    """Etcd starts, keeps what is written and stops."""
    server = EtcdServer(binary, folder)
    try:
        server.start()
        server.put("/verify", "kept")
        if server.get("/verify") != {"/verify": "kept"}:
            raise NotInstalledError(f"the etcd of {binary} does not keep what is written")
    except ServerFailedError as error:
        raise NotInstalledError(str(error)) from None
    finally:
        server.close()


def verify_etcdctl(binary: Path, folder: Path) -> None:
    """Etcdctl tells its version."""
    if "etcdctl version" not in output_of([str(binary), "version"]):
        raise NotInstalledError(f"{binary} does not tell a version of etcdctl")


def verify_dnsmasq(binary: Path, folder: Path) -> None:
    """Dnsmasq starts, answers and stops."""
    server = DnsmasqServer(binary, folder, [])
    try:
        server.start()
    except ServerFailedError as error:
        raise NotInstalledError(str(error)) from None
    finally:
        server.close()


def verify_named(binary: Path, folder: Path) -> None:
    """BIND starts, answers for a zone and stops."""
    server = BindServer(binary, folder, {"verify.test": []})
    try:
        server.start()
    except ServerFailedError as error:
        raise NotInstalledError(str(error)) from None
    finally:
        server.close()


def verify_eureka(binary: Path, folder: Path) -> None:
    """Eureka starts, keeps what is registered and stops."""
    server = EurekaServer(binary, folder)
    try:
        server.start()
        server.register("verify", "verify-1")
        if list(server.apps()) != ["VERIFY"]:
            raise NotInstalledError(f"the Eureka of {binary} does not keep what is registered")
    except ServerFailedError as error:
        raise NotInstalledError(str(error)) from None
    finally:
        server.close()


def verify_kube_apiserver(binary: Path, folder: Path) -> None:
    """The API server starts on the etcd beside it, and stops."""
    server = KubernetesServer(binary, binary.parent / "etcd", folder)
    try:
        server.start()
    except ServerFailedError as error:
        raise NotInstalledError(str(error)) from None
    finally:
        server.close()


PROGRAMS: Mapping[str, Program] = {
    program.name: program
    for program in (
        # Debian 11 is the last release that has Consul as free software in its own archive.
        Program(name="consul", version="1.8.7", suite="bullseye", path="usr/bin/consul", verify=verify_consul),
        Program(name="wrk", version="4", suite=None, path="usr/bin/wrk", verify=verify_wrk),
        Program(name="dnsperf", version="2", suite=None, path="usr/bin/dnsperf", verify=verify_dnsperf),
        Program(name="etcd", version="3", suite=None, path="usr/bin/etcd", verify=verify_etcd, package="etcd-server"),
        Program(
            name="etcdctl",
            version="3",
            suite=None,
            path="usr/bin/etcdctl",
            verify=verify_etcdctl,
            package="etcd-client",
        ),
        Program(
            name="dnsmasq",
            version="2",
            suite=None,
            path="usr/sbin/dnsmasq",
            verify=verify_dnsmasq,
            package="dnsmasq-base",
        ),
        Program(name="named", version="9", suite=None, path="usr/sbin/named", verify=verify_named, package="bind9"),
        Program(name="eureka", version=application_version(), verify=verify_eureka, build=build_eureka),
        Program(
            name="kube-apiserver",
            version=KUBERNETES_VERSION,
            verify=verify_kube_apiserver,
            build=build_kube_apiserver,
        ),
    )
}


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where installed servers are kept: below `XDG_CACHE_HOME`, which is `~/.cache` unless set."""
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "homeport-tests"


def installed_path(program: Program, environ: Mapping[str, str]) -> Path:
    """Where the installed program is, or would be."""
    return cache_folder(environ) / f"{program.name}-{program.version}" / "bin" / program.name


def find(name: str, environ: Mapping[str, str]) -> Path | None:
    """The program to use: the one named by its variable, the installed one, or one on the PATH; None without any.

    `NotInstalledError` if the variable names something that is no program.
    """
    program = PROGRAMS[name]
    own = environ.get(program.variable)
    if own:
        if not os.access(own, os.X_OK):
            raise NotInstalledError(f"{program.variable} names {own}, which is no program")
        return Path(own)
    path = installed_path(program, environ)
    if path.exists():
        return path
    on_path = shutil.which(name, path=environ.get("PATH"))
    return Path(on_path) if on_path else None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the cache folder for one installer at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_launcher(root: Path, program: Program) -> Path:
    """A way to start the unpacked program with the libraries that were unpacked beside it."""
    target = root / program.path
    launcher = root / "bin" / program.name
    launcher.parent.mkdir(exist_ok=True)
    folders = library_folders(root)
    if not folders:
        launcher.symlink_to(os.path.relpath(target, launcher.parent))
        return launcher
    # Relative to itself, since the folder is moved into place when all is well.
    libraries = ":".join(f"$root/{folder.relative_to(root)}" for folder in folders)
    launcher.write_text(
        "#!/bin/sh\n"
        'root=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
        f'LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" exec "$root/{program.path}" "$@"\n',
        encoding="utf-8",
    )
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return launcher


def install(name: str, environ: Mapping[str, str]) -> Path:
    """The program, installed if it was not there; `NotInstalledError` says why that failed and what to do.

    A version that was found on the PATH by chance is not good enough: the one asked for is installed beside it.
    """
    program = PROGRAMS[name]
    path = installed_path(program, environ)
    if environ.get(program.variable):
        found = find(name, environ)
        assert found is not None
        return found
    if path.exists():
        return path
    cache = cache_folder(environ)
    with locked(cache):
        if path.exists():
            return path
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=cache) as folder:
            work = Path(folder)
            root = work / "root"
            try:
                if program.build is not None:
                    root.mkdir()
                    launcher = program.build(root, work)
                else:
                    apt = PrivateApt(work / "apt", suite=program.suite)
                    apt.update()
                    apt.unpack(apt.fetch(program.package or name, with_dependencies=program.suite is None), root)
                    launcher = write_launcher(root, program)
            except (AptUnavailableError, BuildFailedError, ServerFailedError) as error:
                advice = f"Install {name} yourself and set {program.variable} to its program."
                raise NotInstalledError(f"{name} cannot be installed: {error}. {advice}") from None
            program.verify(launcher, work / "verify")
            final = path.parent.parent
            shutil.rmtree(final, ignore_errors=True)
            root.rename(final)
    return path


def main() -> int:
    """Install what the command line names; a failure is one plain line, and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.install", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="+", choices=sorted(PROGRAMS), metavar="NAME", help=" or ".join(PROGRAMS))
    status = 0
    for name in parser.parse_args().names:
        there = installed_path(PROGRAMS[name], os.environ).exists()
        try:
            path = install(name, os.environ)
        except NotInstalledError as error:
            print(f"install: {error}", file=sys.stderr)
            status = 1
        else:
            if not there:
                print(f"{name}: {path}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
