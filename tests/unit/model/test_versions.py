"""Version ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import InvalidValue
from homeport.versions import version_key, version_range


@pytest.mark.parametrize(
    ("wanted", "inside", "outside"),
    [
        ("2.1.0", ["2.1.0", "2.1", "v2.1", "2.1.0+build7"], ["2.1.1", "2.1.0-rc.1", "2", ""]),
        ("==2.1", ["2.1.0"], ["2.1.1"]),
        ("!=2.1", ["2.0", "3"], ["2.1.0"]),
        (">=2,<3", ["2", "2.0.0", "2.9.9", "2.5.0-rc.1"], ["1.9", "3", "3.0.1", "2.0.0-rc.1", "unknown", ""]),
        (">=2, <3", ["2.5"], ["3.1"]),
        (">2", ["2.0.1", "3"], ["2", "2.0.0"]),
        ("<=2", ["2.0", "1", "2.0.0-rc.1"], ["2.0.1"]),
        ("^2.1", ["2.1", "2.9.9"], ["2.0.9", "3.0", "2.1.0-rc.1"]),
        ("^0.3.1", ["0.3.1", "0.3.9"], ["0.4.0", "0.3.0", "1.0"]),
        ("^0", ["0.0.1", "0.9"], ["1.0"]),
        ("~2.1", ["2.1.0", "2.1.9"], ["2.2", "2.0"]),
        ("~2.1.3", ["2.1.3", "2.1.9"], ["2.1.2", "2.2.0"]),
        ("~2", ["2.0", "2.9"], ["3.0"]),
        ("2.*", ["2", "2.0", "2.99.1"], ["3.0", "20.1"]),
        ("=2.1.*", ["2.1", "2.1.7"], ["2.2"]),
        ("*", ["0.1", "99"], ["none", ""]),
        ("2024-blue", ["2024-blue"], ["2024", "2024-green"]),
    ],
)
def test_what_is_inside_and_what_is_not(wanted: str, inside: list[str], outside: list[str]) -> None:
    matches = version_range(wanted)
    assert [version for version in inside if not matches(version)] == []
    assert [version for version in outside if matches(version)] == []


@pytest.mark.parametrize("text", ["", ">>2", ">=", "2,,3", ">=2.*", "^2.*", "^x", "a b", ">=2 <3", "latest"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not a version range; write for example"):
        version_range(text)


def test_the_order_of_semantic_versioning() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    ordered += ["1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "1.10", "2"]
    keys = [version_key(version) for version in ordered]
    assert None not in keys
    assert keys == sorted(keys, key=lambda key: key or ())


numbers = st.lists(st.integers(0, 50), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(numbers, numbers)
def test_comparisons_agree_with_each_other(one: str, other: str) -> None:
    assert version_range(f">={one}")(other) == (not version_range(f"<{one}")(other))
    assert version_range(f">{one}")(other) == (not version_range(f"<={one}")(other))
    assert version_range(f"=={one}")(other) == (not version_range(f"!={one}")(other))


@given(numbers)
def test_a_version_is_in_its_own_ranges(version: str) -> None:
    for form in ("{}", "=={}", ">={}", "<={}", "^{}", "~{}", "{}.*"):
        assert version_range(form.format(version))(version), form
