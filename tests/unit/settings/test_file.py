"""Where the settings file is looked for, and what may stand in it."""

from pathlib import Path

import pytest

from homeport.errors import SettingsError
from homeport.settings import SettingsFile, find_file, read_file
from homeport.settings.file import NOT_YET, SECTIONS


def written(path: Path, text: str | bytes = "server:\n  http: 127.0.0.1:0\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_file(path)
    return str(caught.value)


class TestFinding:
    def test_an_argument_wins_over_the_variable_and_that_over_the_folder(self, tmp_path: Path) -> None:
        argument = written(tmp_path / "argument.yaml")
        variable = written(tmp_path / "variable.yaml")
        own = written(tmp_path / "config/homeport/homeport.yaml")
        environ = {"HOMEPORT_CONFIG": str(variable), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        assert find_file(str(argument), environ) == argument
        assert find_file(None, environ) == variable
        assert find_file(None, {**environ, "HOMEPORT_CONFIG": ""}) == own

    def test_the_folder_is_dot_config_without_an_absolute_xdg_config_home(self, tmp_path: Path) -> None:
        own = written(tmp_path / ".config/homeport/homeport.yaml")
        assert find_file(None, {"HOME": str(tmp_path)}) == own
        assert find_file(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"}) == own

    def test_the_current_folder_is_never_looked_into(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written(tmp_path / "homeport.yaml")
        written(tmp_path / "homeport/homeport.yaml")
        monkeypatch.chdir(tmp_path)
        assert find_file(None, {}) is None
        assert find_file(None, {"HOME": str(tmp_path / "nobody")}) is None

    def test_a_missing_file_is_an_error_only_when_it_was_named(self, tmp_path: Path) -> None:
        gone = str(tmp_path / "gone.yaml")
        with pytest.raises(SettingsError) as by_argument:
            find_file(gone, {})
        assert str(by_argument.value) == f"{gone}: there is no such file"
        with pytest.raises(SettingsError) as by_variable:
            find_file(None, {"HOMEPORT_CONFIG": gone})
        assert str(by_variable.value) == f"{gone}: there is no such file (named by HOMEPORT_CONFIG)"


class TestReading:
    def test_sections_are_read_and_the_file_is_named(self, tmp_path: Path) -> None:
        path = written(tmp_path / "homeport.yaml")
        assert read_file(path) == SettingsFile(name=str(path), content={"server": {"http": "127.0.0.1:0"}})

    @pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n---\n"])
    def test_an_empty_file_says_nothing(self, tmp_path: Path, text: str) -> None:
        assert read_file(written(tmp_path / "h.yaml", text)).content == {}

    @pytest.mark.parametrize("key", NOT_YET)
    def test_keys_of_later_versions_are_refused_by_name(self, tmp_path: Path, key: str) -> None:
        path = written(tmp_path / "h.yaml", f"{key}: {{}}\n")
        assert error_of(path) == f"{path}: {key} is known but not available in this version; take it out"

    @pytest.mark.parametrize("key", SECTIONS)
    def test_each_section_may_stand_in_it(self, tmp_path: Path, key: str) -> None:
        assert read_file(written(tmp_path / "h.yaml", f"{key}:\n")).content == {key: None}

    def test_an_unknown_section_is_refused_with_the_one_that_was_meant(self, tmp_path: Path) -> None:
        path = written(tmp_path / "h.yaml", "servr: {}\n")
        assert error_of(path) == f"{path}: servr is not a setting; did you mean server?"
        assert error_of(written(path, "xyzzy: 1\n")) == f"{path}: xyzzy is not a setting"
        assert error_of(written(path, "1: 1\n")) == f"{path}: 1 is not a setting"

    def test_a_key_given_twice_is_refused_with_its_place(self, tmp_path: Path) -> None:
        path = written(tmp_path / "h.yaml", "server:\n  http: a\n  dev: true\n  http: b\n")
        assert error_of(path) == f"{path}: line 4, column 3: http is given twice"

    def test_a_merge_key_may_be_overridden(self, tmp_path: Path) -> None:
        path = written(tmp_path / "h.yaml", "client: &all\n  a: 1\nserver:\n  <<: *all\n  a: 2\n")
        assert read_file(path).content["server"] == {"a": 2}

    def test_what_is_not_yaml_is_told_with_its_place(self, tmp_path: Path) -> None:
        path = written(tmp_path / "h.yaml", "server:\n  http: a: b\n")
        assert error_of(path) == f"{path}: line 2, column 10: mapping values are not allowed here"

    def test_yaml_cannot_make_objects(self, tmp_path: Path) -> None:
        path = written(tmp_path / "h.yaml", "server: !!python/object/apply:os.getcwd []\n")
        assert "could not determine a constructor" in error_of(path)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"- a\n", 'there must be settings in it, such as "server:" with its keys below'),
            (b"\xff\xfe\xfd", "it is not text in UTF-8"),
            (b"? [a]\n: 1\n", "line 1, column 3: a key must be a word"),
            (b"a: {{ .b }}\n", 'line 1, column 5: a key must be a word; a text with "{{ … }}" has to stand in quotes'),
            (b"server: {}\n---\nclient: {}\n", 'it has 2 parts between lines of "---"; settings are in one'),
        ],
    )
    def test_other_content_is_refused_in_one_line(self, tmp_path: Path, content: bytes, reason: str) -> None:
        path = written(tmp_path / "h.yaml", content)
        assert error_of(path) == f"{path}: {reason}"

    def test_a_file_that_cannot_be_read_says_why(self, tmp_path: Path) -> None:
        assert error_of(tmp_path) == f"{tmp_path}: it cannot be read: Is a directory"
