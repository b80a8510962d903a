from pathlib import Path

import pytest

from scripts import set_up

PYPROJECT = '[project]\nname = "x"\n[build-system]\nrequires = []\n[tool.hatch]\n[tool.ruff]\nline-length = {length}\n'


class Project:
    """A project folder with an environment that only notes what is asked of pip."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        (root / "requirements").mkdir()
        self.pin("dev", "1")
        self.pin("demo", "1")
        self.configure(length=120)

    def pin(self, kind: str, version: str) -> None:
        (self.root / "requirements" / f"{kind}.txt").write_text(f"thing=={version}\n")

    def configure(self, *, length: int, name: str = "x") -> None:
        (self.root / "pyproject.toml").write_text(PYPROJECT.format(length=length).replace('"x"', f'"{name}"'))

    def pip(self, *arguments: str) -> None:
        self.asked.append(arguments[-1])

    def made(self, folder: Path, *, clear: bool, symlinks: bool, with_pip: bool) -> None:
        assert (clear, with_pip) == (True, True)
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").write_text("#!/bin/sh\n")
        (folder / "bin" / "python").chmod(0o700)
        self.asked.append("environment")

    def set_up(self, kind: str) -> list[str]:
        self.asked.clear()
        set_up.set_up(kind)
        return list(self.asked)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.setattr(set_up, "ROOT", tmp_path)
    monkeypatch.setattr(set_up, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(set_up, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(set_up, "pip", project.pip)
    monkeypatch.setattr("venv.create", project.made)
    return project


def test_everything_is_installed_once(project: Project) -> None:
    assert project.set_up("dev") == ["environment", "requirements/dev.txt", "."]
    assert project.set_up("dev") == []


def test_changed_requirements_are_installed_into_the_same_environment(project: Project) -> None:
    project.set_up("dev")
    project.pin("dev", "2")
    assert project.set_up("dev") == ["requirements/dev.txt", "."]


def test_changed_metadata_installs_only_the_package_and_other_settings_nothing(project: Project) -> None:
    project.set_up("dev")
    project.configure(length=100)
    assert project.set_up("dev") == []
    project.configure(length=100, name="y")
    assert project.set_up("dev") == ["."]


def test_the_demo_is_content_with_everything_but_not_the_other_way_round(project: Project) -> None:
    assert project.set_up("demo") == ["environment", "requirements/demo.txt", "."]
    assert project.set_up("dev") == ["requirements/dev.txt", "."]
    assert project.set_up("demo") == []


def test_a_failed_installation_is_done_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: str) -> None:
        raise OSError("no network")

    project.set_up("dev")
    project.pin("dev", "2")
    with monkeypatch.context() as broken:
        broken.setattr(set_up, "pip", failing)
        with pytest.raises(OSError, match="no network"):
            set_up.set_up("dev")
    project.pin("dev", "1")
    assert project.set_up("dev") == ["requirements/dev.txt", "."]


def test_an_environment_whose_python_is_gone_is_made_anew(project: Project) -> None:
    project.set_up("dev")
    (project.root / ".venv" / "bin" / "python").unlink()
    (project.root / ".venv" / "bin").rmdir()
    assert project.set_up("dev") == ["environment", "requirements/dev.txt", "."]
