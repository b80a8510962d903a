"""The installer against a stand-in for apt: shell scripts that count their calls and hand out a prepared program."""

import threading
from pathlib import Path

import pytest

from tests.servers.install import PROGRAMS, NotInstalledError, find, install, main

APT_GET = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in *"$FAIL_AT"*) [ -z "$FAIL_AT" ] || {{ echo "E: Unable to fetch" >&2; exit 100; }};; esac
case "$*" in *" download "*) touch consul_1.8.7_all.deb;; esac
"""
DPKG_DEB = """#!/bin/sh
mkdir -p "$3/usr/bin"
printf '#!/bin/sh\\nexec {program} "$@"\\n' > "$3/usr/bin/consul"
chmod +x "$3/usr/bin/consul"
"""


class StandInApt:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
        self.calls_path = folder / "calls"
        self.environ = {"XDG_CACHE_HOME": str(folder / "cache"), "PATH": ""}
        self.cache = folder / "cache" / "homeport-tests"
        tools = folder / "tools"
        tools.mkdir()
        for name, text in {
            "apt-get": APT_GET.format(calls=self.calls_path),
            "dpkg-deb": DPKG_DEB.format(program=program),
        }.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o700)
        monkeypatch.setenv("PATH", str(tools), prepend=":")
        monkeypatch.setenv("FAIL_AT", "")
        monkeypatch.setattr("tests.servers.apt.ETC", folder / "etc")
        (folder / "etc").mkdir()
        (folder / "etc" / "sources.list").write_text("deb http://mirror.invalid/debian bookworm main\n")

    @property
    def calls(self) -> list[str]:
        text = self.calls_path.read_text() if self.calls_path.exists() else ""
        return [line.rpartition("Dir::Log=/dev/null ")[2] for line in text.splitlines()]

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir())


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, consul_binary: Path) -> StandInApt:
    return StandInApt(tmp_path, monkeypatch, consul_binary)


def test_a_server_is_installed_once_and_then_found(apt: StandInApt) -> None:
    assert find("consul", apt.environ) is None
    path = install("consul", apt.environ)
    assert path == apt.cache / "consul-1.8.7" / "bin" / "consul"
    assert apt.calls == ["update", "download consul"]
    assert apt.left == ["consul-1.8.7", "lock"]
    assert install("consul", apt.environ) == path
    assert find("consul", apt.environ) == path
    assert apt.calls == ["update", "download consul"]


def test_callers_at_once_install_once(apt: StandInApt) -> None:
    threads = [threading.Thread(target=install, args=("consul", apt.environ)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert apt.calls == ["update", "download consul"]
    assert find("consul", apt.environ) is not None


@pytest.mark.parametrize("step", ["update", "download"])
def test_an_archive_that_does_not_answer_is_told_and_leaves_nothing(
    apt: StandInApt, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setenv("FAIL_AT", step)
    with pytest.raises(
        NotInstalledError,
        match=r"^consul cannot be installed: .* failed: E: Unable to fetch\. "
        r"Install consul yourself and set HOMEPORT_TEST_CONSUL to its program\.$",
    ):
        install("consul", apt.environ)
    assert apt.left == ["lock"]


def test_a_program_that_does_not_work_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = StandInApt(tmp_path, monkeypatch, Path("/bin/echo"))
    with pytest.raises(NotInstalledError, match="does not tell a version of Consul"):
        install("consul", apt.environ)
    assert apt.left == ["lock"]


def test_an_agent_that_does_not_start_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "half"
    program.write_text('#!/bin/sh\n[ "$1" = version ] && echo Consul v1.8.7 && exit\necho no data >&2\nexit 1\n')
    program.chmod(0o700)
    apt = StandInApt(tmp_path, monkeypatch, program)
    with pytest.raises(NotInstalledError, match=r"(?s)ended with exit status 1; its log ends:\nno data"):
        install("consul", apt.environ)
    assert apt.left == ["lock"]


def test_a_program_of_ones_own_is_not_installed_again(apt: StandInApt, consul_binary: Path) -> None:
    environ = apt.environ | {PROGRAMS["consul"].variable: str(consul_binary)}
    assert install("consul", environ) == consul_binary
    assert apt.calls == []


def test_the_command_tells_a_failure_in_one_line(
    apt: StandInApt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAIL_AT", "update")
    monkeypatch.setenv("XDG_CACHE_HOME", apt.environ["XDG_CACHE_HOME"])
    monkeypatch.delenv("HOMEPORT_TEST_CONSUL", raising=False)
    monkeypatch.setattr("sys.argv", ["install", "consul"])
    assert main() == 1
    assert capsys.readouterr().err.startswith("install: consul cannot be installed: ")
