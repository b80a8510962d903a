import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.servers import ports
from tests.servers.ports import LOOPBACK, PortLease, candidates, ephemeral_range, is_free


def test_ports_are_free_and_distinct() -> None:
    with PortLease(6) as lease:
        assert len(set(lease.ports)) == 6
        assert set(lease.ports) <= set(candidates())
        assert all(is_free(port) for port in lease.ports)


@pytest.mark.parametrize(
    ("ephemeral", "chosen"),
    [
        ((32_768, 60_999), range(20_000, 32_768)),
        ((15_000, 60_999), range(61_000, 65_536)),
        ((16_000, 65_535), range(10_000, 16_000)),
        ((1_024, 65_535), range(20_000, 32_768)),
    ],
)
def test_what_the_kernel_gives_away_is_left_to_it_if_possible(
    monkeypatch: pytest.MonkeyPatch, ephemeral: tuple[int, int], chosen: range
) -> None:
    monkeypatch.setattr(ports, "ephemeral_range", lambda: ephemeral)
    assert candidates() == chosen


def test_what_the_kernel_gives_away_is_known() -> None:
    first, last = ephemeral_range()
    with socket.socket() as given:
        given.bind((LOOPBACK, 0))
        assert first <= given.getsockname()[1] <= last


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use_is_not_free(kind: socket.SocketKind) -> None:
    with PortLease() as lease, socket.socket(socket.AF_INET, kind) as user:
        user.bind((LOOPBACK, lease.ports[0]))
        if kind is socket.SOCK_STREAM:
            user.listen()
        assert not is_free(lease.ports[0])


def test_nobody_else_gets_a_leased_port_until_it_is_released(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with PortLease() as ours:  # against other test processes, which know nothing of the folder below
        (port,) = ours.ports
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(ports, "candidates", lambda: range(port, port + 1))
        with PortLease() as first:
            assert first.ports == (port,)
            with pytest.raises(RuntimeError, match="no 1 free loopback ports"):
                PortLease()
        with PortLease() as second:
            assert second.ports == (port,)


def test_a_lease_holds_against_another_process() -> None:
    with PortLease() as lease:
        (port,) = lease.ports
        program = (
            "from tests.servers import ports\n"
            f"ports.candidates = lambda: range({port}, {port + 1})\n"
            "ports.PortLease()\n"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no 1 free loopback ports" in result.stderr
