"""Fixtures of this room."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.client.certificates import Authority

ENTRY_POINTS = """
[homeport.checks]
switch = tests.integration.health.brought_kinds:Switch
odd = tests.integration.health.brought_kinds:not_a_prober
broken = tests.integration.health.brought_kinds:broken
absent = tests.integration.health.no_such_module:Prober
"""


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority of the test's own."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    """A port of all addresses of IPv4 where nobody listens, and nobody can: it is bound."""
    with socket.socket() as nobody:
        nobody.bind(("0.0.0.0", 0))
        yield nobody.getsockname()[1]


@pytest.fixture
def brought_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package, as far as its metadata, that brings kinds of checks."""
    metadata = tmp_path / "site" / "homeport_test_kinds-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: homeport-test-kinds\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path / "site")
