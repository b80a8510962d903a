import re
from pathlib import Path

import pytest

from scripts.lock import ROOT, bare_pins, package_requirements, without_places

PYPROJECT = """
[project]
dependencies = ["core>=1"]
[project.optional-dependencies]
cli = ["rich>=14"]
server = ["homeport[cli]", "uvicorn"]
grpc = ["grpcio"]
all = ["homeport[server, grpc]"]
"""


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([], ["core>=1"]),
        (["server"], ["core>=1", "rich>=14", "uvicorn"]),
        (None, ["core>=1", "grpcio", "rich>=14", "uvicorn"]),
    ],
)
def test_extras_are_written_out(tmp_path: Path, chosen: list[str] | None, expected: list[str]) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(PYPROJECT)
    assert package_requirements(path, chosen) == expected


@pytest.mark.parametrize(
    "line",
    [
        "--index-url somewhere",
        "  --extra-index-url somewhere",
        "--find-links ./wheels",
        "thing @ https://example.org/thing.whl",
        "thing @ file:///thing.whl",
        "    # via -r /tmp/dev.in",
    ],
)
def test_a_lock_file_names_no_place(line: str) -> None:
    with pytest.raises(SystemExit, match=r"requirements/dev.txt:2 names a place"):
        without_places(f"a==1\n{line}\n", "requirements/dev.txt")


def test_an_ordinary_lock_file_passes() -> None:
    text = "a==1 \\\n    --hash=sha256:00ff\n    # via\n    #   dev.in\n    #   b\n"
    assert without_places(text, "requirements/dev.txt") == text


def test_pins_without_hashes_are_constraints() -> None:
    text = (
        "a-b==1.0 \\\n    --hash=sha256:00\n    # via c==2\n"
        'uvloop==2 ; sys_platform != "win32" \\\n    --hash=sha256:11\n'
    )
    assert bare_pins(text) == "a-b==1.0\nuvloop==2\n"


def test_one_environment_can_hold_both_lock_files() -> None:
    pins = {
        name: set(bare_pins((ROOT / "requirements" / f"{name}.txt").read_text()).splitlines())
        for name in ("dev", "demo")
    }
    assert pins["demo"]
    assert pins["demo"] < pins["dev"]


@pytest.mark.parametrize("name", ["dev", "demo"])
def test_every_pin_has_hashes_and_no_place(name: str) -> None:
    text = without_places((ROOT / "requirements" / f"{name}.txt").read_text(), name)
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_requirement_of_the_package_is_pinned() -> None:
    pinned = {pin.partition("==")[0] for pin in bare_pins((ROOT / "requirements" / "dev.txt").read_text()).split()}
    wanted = {
        re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in package_requirements(ROOT / "pyproject.toml", None)
    }
    assert wanted <= pinned
