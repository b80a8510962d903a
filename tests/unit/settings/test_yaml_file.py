"""YAML that nobody should have written."""

from pathlib import Path

import pytest

from homeport.errors import SettingsError
from homeport.settings import lines, read_documents


def test_an_alias_stands_for_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &tags [x, y]\nb: *tags\nc: [*tags, *tags]\n")
    assert read_documents(path) == [{"a": ["x", "y"], "b": ["x", "y"], "c": [["x", "y"], ["x", "y"]]}]


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: {c: *a}}\n", f"a: {'[' * 3000}{']' * 3000}\n"])
def test_what_never_ends_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="nested too deeply, or has an alias"):
        read_documents(path)
    assert isinstance(lines(text), list)


def test_a_few_lines_cannot_stand_for_billions_of_values(tmp_path: Path) -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for above, below in zip("abcdefghi", "bcdefghij", strict=True):
        text += f"{below}: &{below} [{', '.join(9 * [f'*{above}'])}]\n"
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="stand for more than"):
        read_documents(path)
    assert lines(text)[0]["j"] == 10  # and its places are found all the same
