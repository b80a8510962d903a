"""mypy on the use and the misuse of the blocking API."""

from pathlib import Path

from tests.typing.test_public_api import check

MISUSE = """
from homeport.blocking import Discovery


async def wrong(discovery: Discovery) -> None:
    await discovery.discover("a")  # E
    async with discovery.watch("a"):  # E
        pass
    discovery.discover("a", tagz=["x"])  # E
    discovery.pick(7)  # E
"""


def test_right_use_is_accepted() -> None:
    assert check(Path(__file__).parent / "blocking_api.py") == []


def test_misuse_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blocking_misuse.py"
    path.write_text(MISUSE)
    expected = {number for number, line in enumerate(MISUSE.splitlines(), start=1) if line.endswith("# E")}
    assert {line for line, _ in check(path)} == expected
