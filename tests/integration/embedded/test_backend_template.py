"""`examples/backend_template`: built, installed beside Homeport, found by its scheme, and tested by its own tests."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.servers.process import clean_environment

TEMPLATE = Path(__file__).parents[3] / "examples" / "backend_template"
FIND = """
import asyncio, sys
from homeport import Discovery
from homeport.backends import backend_names

async def main():
    async with Discovery(sys.argv[1]) as discovery, discovery.register("api", id="api-1", port=80):
        print([one.id for one in await discovery.discover("api")], "folder" in backend_names())

asyncio.run(main())
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the package installed in `lib` and its tests in `tests`."""
    source = shutil.copytree(TEMPLATE, tmp_path / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*pip, "--disable-pip-version-check", "--target", str(tmp_path / "lib"), str(source)], tmp_path, {})
    return tmp_path


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env=clean_environment() | dict(environment),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_it_is_found_by_its_scheme_and_passes_the_contract_suite(place: Path) -> None:
    environment = {"PYTHONPATH": str(place / "lib")}
    (place / "data").mkdir()
    found = run([sys.executable, "-c", FIND, f"folder://{place}/data"], place, environment)
    assert found == "['api-1'] True\n"
    command = [sys.executable, "-m", "homeport", "list", "--backend", f"folder://{place}/data", "--format", "json"]
    assert run(command, place, environment).strip() == "[]"  # it was deregistered
    outcome = run([sys.executable, "-m", "pytest", "-q", "-p", "no:randomly"], place / "source", environment)
    assert " passed" in outcome
    assert " failed" not in outcome
