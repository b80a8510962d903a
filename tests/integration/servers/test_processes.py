"""What becomes of server processes, and how the test run tells."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.leftover_processes import LEFT_BEHIND, children
from tests.servers.homeport import HomeportServer
from tests.servers.process import ServerFailedError, ServerProcess, clean_environment, wait_until

ROOT = Path(__file__).resolve().parents[3]


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_group_of_a_server_ends_with_it(tmp_path: Path) -> None:
    server = ServerProcess("shell", tmp_path)
    server.spawn(["sh", "-c", "sleep 300 & echo $!; wait"], stdout_apart=True)
    grandchild = int(server.first_line())
    assert alive(grandchild)
    assert server.stop() == -signal.SIGTERM
    wait_until(lambda: not alive(grandchild), timeout=30, what="the end of the grandchild")
    assert not server.running


def test_a_server_that_ends_while_starting_is_told_with_its_log(tmp_path: Path) -> None:
    server = ServerProcess("shell", tmp_path)
    server.spawn(["sh", "-c", "echo no such luck >&2; exit 3"])
    with pytest.raises(ServerFailedError, match=r"(?s)shell ended with exit status 3; its log ends:\nno such luck"):
        server.wait_ready(lambda: False)
    server.stop()


def test_a_server_that_says_nothing_is_told(tmp_path: Path) -> None:
    server = ServerProcess("shell", tmp_path)
    server.spawn(["sleep", "300"], stdout_apart=True)
    with pytest.raises(ServerFailedError, match=r"shell said nothing on stdout for 0.1 s"):
        server.first_line(timeout=0.1)
    server.kill()


def test_a_server_that_ends_without_a_word_is_told(tmp_path: Path) -> None:
    server = ServerProcess("shell", tmp_path)
    server.spawn(["sh", "-c", "exit 7"], stdout_apart=True)
    with pytest.raises(ServerFailedError, match=r"shell ended with exit status 7"):
        server.first_line()
    server.stop()


def test_a_server_that_does_not_end_is_told(tmp_path: Path) -> None:
    server = ServerProcess("shell", tmp_path)
    server.spawn(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], stdout_apart=True)
    server.first_line()
    server.send(signal.SIGTERM)
    with pytest.raises(ServerFailedError, match=r"did not end within 0.2 s"):
        server.wait(timeout=0.2)
    server.kill()
    assert not server.running


def test_a_homeport_that_says_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.homeport.PROGRAM", ("/bin/echo", "homeport"))
    server = HomeportServer(tmp_path)
    with pytest.raises(
        ServerFailedError, match=r"is not ready: expected 'homeport ready http=HOST:PORT …', got 'homeport serve"
    ):
        server.start()
    assert not server.running
    server.close()


def test_variables_that_configure_discovery_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "elsewhere:1")
    monkeypatch.setenv("HOMEPORT_BACKEND", "static:///x")
    environment = clean_environment({"HOMEPORT_CONFIG": "y"})
    assert "CONSUL_HTTP_ADDR" not in environment
    assert "HOMEPORT_BACKEND" not in environment
    assert environment["HOMEPORT_CONFIG"] == "y"
    assert environment["PATH"] == os.environ["PATH"]


def test_a_killed_test_process_leaves_no_server(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from tests.servers.process import ServerProcess\n"
        f"server = ServerProcess('sleeper', pathlib.Path({str(tmp_path)!r}))\n"
        "server.spawn(['sleep', '300'])\n"
        "print(server.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        sleeper = int(process.stdout.readline())
        assert alive(sleeper)
        process.kill()
    wait_until(lambda: not alive(sleeper), timeout=30, what="the end of the server")


NO_GRACE = """
from tests.plugins import leftover_processes

leftover_processes.GRACE = 0.0
"""
LEAKING = """
import subprocess

def leak():
    return subprocess.Popen(["sleep", "300"]).pid
"""
# The shell ends at once; its child becomes an orphan.
LEAKING_AN_ORPHAN = """
import subprocess

def leak():
    command = "sleep 300 >/dev/null 2>&1 & echo $!"
    return int(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout)
"""
# It has its command line a moment after it began to run.
LEAKS = """
from pathlib import Path

def test_leaks():
    pid = leak()
    while not Path(f"/proc/{{pid}}/cmdline").read_bytes().startswith(b"sleep"):
        pass
    Path({pids!r}).write_text(str(pid))
"""


@pytest.mark.parametrize("source", [LEAKING, LEAKING_AN_ORPHAN], ids=["child", "orphan"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_that_leaves_a_process_behind_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, workers: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pids = tmp_path / "pids"
    pytester.makeconftest(NO_GRACE)
    pytester.makepyfile(source + LEAKS.format(pids=str(pids)))
    result = pytester.runpytest_subprocess("-p", "tests.plugins.leftover_processes", "-n", workers)
    leaked = int(pids.read_text())
    os.kill(leaked, signal.SIGKILL)
    assert result.ret == LEFT_BEHIND
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["LEFT BEHIND: process * sleep 300*"])


def test_a_run_that_leaves_nothing_behind_passes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(
        f"""
        from pathlib import Path
        from tests.servers.process import ServerProcess

        def test_ends_its_server():
            server = ServerProcess("sleeper", Path({str(tmp_path)!r}))
            server.spawn(["sleep", "300"])
            server.stop()
        """
    )
    result = pytester.runpytest_subprocess("-p", "tests.plugins.leftover_processes", "-n", "1")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*LEFT BEHIND*")


def test_the_log_of_a_server_is_shown_with_a_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(
        f"""
        from pathlib import Path
        import pytest
        from tests.servers.process import ServerProcess

        @pytest.fixture(scope="module")
        def server():
            server = ServerProcess("talker", Path({str(tmp_path)!r}))
            script = "echo said before; until [ -e go ]; do sleep 0.05; done; echo said meanwhile"
            server.spawn(["sh", "-c", script])
            server.wait_ready(lambda: server.log_size() > 0)
            yield server
            server.kill()

        def test_1_passes(server):
            pass

        def test_2_fails(server):
            Path({str(tmp_path)!r}, "go").touch()
            server.wait()
            assert False
        """
    )
    result = pytester.runpytest_subprocess("-p", "tests.plugins.server_logs", "-p", "no:randomly", "-n", "0")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*log of talker*", "said meanwhile"])
    result.stdout.no_fnmatch_line("said before")


def test_children_are_seen() -> None:
    with subprocess.Popen(["sleep", "300"]) as process:
        # It has its command line a moment after it began to run.
        wait_until(lambda: f"{process.pid} sleep 300" in children(os.getpid()), timeout=20, what="its command line")
        process.kill()
        process.wait()
        assert f"{process.pid} sleep 300" not in list(children(os.getpid()))
