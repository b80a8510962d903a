"""What `make test` does about tests that fail: `tests/run.py`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.leftover_processes import LEFT_BEHIND

ROOT = Path(__file__).parents[3]

FAILS_ONCE = """
from pathlib import Path

def test_{name}():
    marks = Path({marks!r}) / "{name}"
    first = not marks.exists()
    marks.touch()
    assert not first
"""
FAILS = "def test_it():\n    assert False\n"
NO_GRACE = """
from tests.plugins import leftover_processes

leftover_processes.GRACE = 0.0
"""
LEAKS_AND_FAILS_ONCE = """
import subprocess
from pathlib import Path

def test_it():
    pid = Path({marks!r}) / "pid"
    first = not pid.exists()
    if first:
        pid.write_text(str(subprocess.Popen(["sleep", "300"]).pid))
    assert not first
"""


def run(folder: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> subprocess.CompletedProcess[str]:
    """A run, with two workers, of tests in a folder of their own."""
    for path, source in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = [
        "--rootdir",
        str(folder),
        "--import-mode",
        "importlib",
        "-p",
        "tests.plugins.leftover_processes",
        "-n",
        "2",
        "-W",
        "error::pytest.PytestAssertRewriteWarning",
    ]
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "run.py"), *options, "tests"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_fails_by_chance_is_run_again_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FAILS_ONCE.format(name="it", marks=str(tmp_path))
    done = run(tmp_path, {"tests/integration/test_x.py": source}, monkeypatch)
    assert done.returncode == pytest.ExitCode.OK
    assert "1 failed" in done.stdout
    assert done.stdout.endswith(
        "\nPassed, but only the second time; find out why:\n  tests/integration/test_x.py::test_it\n"
    )


def test_what_fails_again_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = FAILS_ONCE.format(name="once", marks=str(tmp_path))
    done = run(tmp_path, {"tests/e2e/test_x.py": FAILS, "tests/e2e/test_y.py": once}, monkeypatch)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in done.stdout


def test_a_unit_test_has_no_second_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = FAILS_ONCE.format(name="it", marks=str(tmp_path))
    done = run(tmp_path, {"tests/unit/test_x.py": once}, monkeypatch)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "Once more" not in done.stdout


def test_many_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "".join(FAILS_ONCE.format(name=str(number), marks=str(tmp_path)) for number in range(4))
    done = run(tmp_path, {"tests/integration/test_x.py": source}, monkeypatch)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "Once more" not in done.stdout


def test_a_run_that_left_a_process_behind_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = LEAKS_AND_FAILS_ONCE.format(marks=str(tmp_path))
    done = run(tmp_path, {"conftest.py": NO_GRACE, "tests/integration/test_x.py": source}, monkeypatch)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert done.returncode == LEFT_BEHIND
    assert "LEFT BEHIND" in done.stdout
    assert "Once more" not in done.stdout
