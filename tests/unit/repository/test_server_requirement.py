from pathlib import Path

import pytest

from tests.servers.install import NotInstalledError, cache_folder, find
from tests.servers.requirement import in_ci, require_server


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return path


def test_a_missing_server_skips_with_the_line_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"^consul is not installed; run: python -m tests.servers.install"):
        require_server("consul", environ={"XDG_CACHE_HOME": str(tmp_path), "PATH": ""})


def test_a_missing_server_fails_in_ci(tmp_path: Path) -> None:
    # A skip must not escape: it would make a skip of this test.
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception)) as outcome:
        require_server("consul", environ={"XDG_CACHE_HOME": str(tmp_path), "PATH": "", "CI": "true"})
    assert outcome.type is pytest.fail.Exception
    assert str(outcome.value) == "consul is not installed; run: python -m tests.servers.install consul"


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("True", True), ("1", True), ("", False), ("false", False), ("0", False)]
)
def test_ci_is_told_by_its_variable(value: str, expected: bool) -> None:
    assert in_ci({"CI": value}) is expected


def test_a_program_of_ones_own_goes_before_the_installed_one_and_that_before_the_path(tmp_path: Path) -> None:
    own = program(tmp_path / "own")
    installed = program(tmp_path / "homeport-tests" / "consul-1.8.7" / "bin" / "consul")
    on_path = program(tmp_path / "bin" / "consul")
    environ = {
        "HOMEPORT_TEST_CONSUL": str(own),
        "XDG_CACHE_HOME": str(tmp_path),
        "PATH": str(on_path.parent),
    }
    assert find("consul", environ) == own
    del environ["HOMEPORT_TEST_CONSUL"]
    assert find("consul", environ) == installed
    installed.unlink()
    assert find("consul", environ) == on_path


def test_a_variable_that_names_no_program_is_an_error_not_a_skip(tmp_path: Path) -> None:
    environ = {"HOMEPORT_TEST_CONSUL": str(tmp_path / "absent")}
    with pytest.raises(NotInstalledError, match=r"HOMEPORT_TEST_CONSUL names .*absent, which is no program"):
        find("consul", environ)
    with pytest.raises(pytest.fail.Exception, match="which is no program"):
        require_server("consul", environ=environ)


def test_the_cache_is_where_the_platform_keeps_caches(tmp_path: Path) -> None:
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "homeport-tests"
    assert cache_folder({}) == Path.home() / ".cache" / "homeport-tests"
    # XDG: a relative path is to be ignored.
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "homeport-tests"
