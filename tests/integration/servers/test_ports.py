import socket
import subprocess
import sys

import pytest

from tests.servers import ports
from tests.servers.ports import LOOPBACK, PortLease, ephemeral_start, is_free


def test_ports_are_free_distinct_and_below_what_the_kernel_gives_away() -> None:
    with PortLease(6) as lease:
        assert len(set(lease.ports)) == 6
        assert max(lease.ports) < ephemeral_start()
        assert all(is_free(port) for port in lease.ports)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use_is_not_free(kind: socket.SocketKind) -> None:
    with PortLease() as lease, socket.socket(socket.AF_INET, kind) as user:
        user.bind((LOOPBACK, lease.ports[0]))
        if kind is socket.SOCK_STREAM:
            user.listen()
        assert not is_free(lease.ports[0])


def test_nobody_else_gets_a_leased_port_until_it_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    with PortLease() as first:
        (port,) = first.ports
        monkeypatch.setattr(ports, "LOWEST", port)
        monkeypatch.setattr(ports, "ephemeral_start", lambda: port + 1)
        with pytest.raises(RuntimeError, match="no 1 free loopback ports"):
            PortLease()
    with PortLease() as second:
        assert second.ports == (port,)


def test_a_lease_holds_against_another_process() -> None:
    with PortLease() as lease:
        (port,) = lease.ports
        program = (
            "from tests.servers import ports\n"
            f"ports.LOWEST, ports.ephemeral_start = {port}, lambda: {port + 1}\n"
            "ports.PortLease()\n"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no 1 free loopback ports" in result.stderr
