"""mypy, as strict as it gets, on the use and the misuse of the public API."""

import re
import sys
from pathlib import Path

from mypy import api

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

MISUSE = """
from homeport import Discovery, HTTPCheck, Instance


async def wrong(discovery: Discovery, instance: Instance) -> None:
    instance.port = 1  # E: read-only
    HTTPCheck(interval=1.0)  # E: Missing positional argument "url"
    await discovery.discover("a", "b")  # E: Too many positional arguments
    await discovery.discover("a", tagz=["x"])  # E: Unexpected keyword argument "tagz"
    discovery.pick(7)  # E: incompatible type "int"
    _ = await discovery.register("a", meta={1: "x"})  # E: incompatible type "int"
    async for one in discovery.watch("a"):
        one.id  # E: has no attribute "id"
"""


def check(path: Path) -> list[tuple[int, str]]:
    """The errors of a file as (line, text)."""
    limit = sys.getrecursionlimit()
    try:
        output, problems, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary", str(path)])
    finally:
        sys.setrecursionlimit(limit)  # mypy raises it for the whole process, and so for the tests after these
    assert not problems, problems
    found = re.findall(rf"{re.escape(path.name)}:(\d+): error: (.*)", output)
    return [(int(line), text) for line, text in found]


def test_right_use_is_accepted() -> None:
    assert check(HERE / "public_api.py") == []


def test_misuse_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "misuse.py"
    path.write_text(MISUSE)
    expected = {
        number: line.partition("# E: ")[2]
        for number, line in enumerate(MISUSE.splitlines(), start=1)
        if "# E: " in line
    }
    found = check(path)
    assert {line for line, _ in found} == set(expected)
    for line, text in found:
        assert expected[line].lower() in text.lower(), (line, text)
