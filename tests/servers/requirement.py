"""What a test does when its server is missing: it fails in CI, and skips with the install line elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from tests.servers.install import PROGRAMS, NotInstalledError, find


def in_ci(environ: Mapping[str, str]) -> bool:
    """Whether this run is CI's, where a missing server is a failure."""
    return environ.get("CI", "").lower() in {"true", "1"}


def missing(what: str, *, install_line: str, environ: Mapping[str, str]) -> NoReturn:
    """End the test for want of a server."""
    reason = f"{what} is not installed; {install_line}"
    if in_ci(environ):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require_server(name: str, *, environ: Mapping[str, str]) -> Path:
    """The program of a server that `tests.servers.install` knows; ends the test if it is missing."""
    try:
        found = find(name, environ)
    except NotInstalledError as error:
        pytest.fail(str(error), pytrace=False)
    if found is None:
        missing(name, install_line=f"run: {PROGRAMS[name].install_line}", environ=environ)
    return found
