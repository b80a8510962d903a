import pytest

from tests.plugins.room_minutes import room_of, summary


@pytest.mark.parametrize(
    ("nodeid", "room"),
    [
        ("tests/unit/model/test_diff.py::test_x", "unit"),
        ("tests/e2e/test_demo.py::test_y[a/b]", "e2e"),
        ("tests/test_alone.py::test_z", "tests"),
        ("unit/model/test_diff.py::test_x", "unit"),
    ],
)
def test_a_room_is_the_first_folder_below_tests(nodeid: str, room: str) -> None:
    assert room_of(nodeid) == room


def test_the_summary_has_minutes_per_room_and_the_ten_slowest() -> None:
    seconds = {f"tests/unit/test_a.py::test_{number}": float(number) for number in range(12)}
    lines = summary(seconds | {"tests/e2e/test_b.py::test_long": 90.0})
    assert lines[:3] == ["e2e            1.50 min      1 test", "unit           1.10 min     12 tests", "slowest:"]
    assert [line.split()[-1].rpartition("_")[2] for line in lines[3:]] == [
        "long", "11", "10", "9", "8", "7", "6", "5", "4", "3",
    ]  # fmt: skip
