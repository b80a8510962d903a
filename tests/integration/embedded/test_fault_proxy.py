"""The fault proxy: each kind of trouble as a client sees it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from homeport.testing import FaultProxy

ANSWER = bytes(range(256)) * 16


@pytest.fixture
def server() -> Iterator[str]:
    """Answers every line with the same bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):  # the proxy ends it as hard as it is told to
            while connection.recv(100):
                connection.sendall(ANSWER)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    accepting.join()
    for thread in threads:
        thread.join()


@pytest.fixture
def proxy(server: str) -> Iterator[FaultProxy]:
    with FaultProxy(server) as proxy:
        yield proxy


def connect(proxy: FaultProxy) -> socket.socket:
    host, _, port = proxy.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def answer(connection: socket.socket, size: int = len(ANSWER)) -> bytes:
    """What comes for a request, up to that size or the end."""
    connection.sendall(b"?")
    received = b""
    while len(received) < size and (piece := connection.recv(size)):
        received += piece
    return received


def ended(connection: socket.socket) -> bool:
    """Whether the connection is over, in whatever way."""
    try:
        return answer(connection) == b""
    except ConnectionError:
        return True


def test_it_forwards(proxy: FaultProxy) -> None:
    with connect(proxy) as one:
        assert answer(one) == ANSWER
        assert answer(one) == ANSWER
    assert proxy.accepted == 1


def test_the_port_stays_its_own_while_nobody_listens(proxy: FaultProxy) -> None:
    address = proxy.address
    for _ in range(3):
        with connect(proxy) as one:
            assert answer(one) == ANSWER
            proxy.stop()
            assert ended(one)
        for _ in range(200):  # a client's own end would meet itself on a port that nobody holds
            with pytest.raises(ConnectionRefusedError):
                connect(proxy)
        taken = socket.socket()
        with taken, pytest.raises(OSError):
            taken.bind(("127.0.0.1", int(address.rpartition(":")[2])))
        proxy.start()
        assert proxy.address == address


def test_a_cut_ends_connections_and_new_ones_work(proxy: FaultProxy) -> None:
    with connect(proxy) as one:
        assert answer(one) == ANSWER
        proxy.cut()
        assert ended(one)
    with connect(proxy) as other:
        assert answer(other) == ANSWER


def test_an_answer_is_cut_in_its_middle(proxy: FaultProxy) -> None:
    proxy.truncate(100)
    with connect(proxy) as one:
        assert answer(one) == ANSWER[:100]
    proxy.truncate(len(ANSWER) + 5)  # counted over the answers of a connection
    with connect(proxy) as one:
        assert answer(one) == ANSWER
        assert answer(one) == ANSWER[:5]
    proxy.truncate(None)
    with connect(proxy) as one:
        assert answer(one) == ANSWER


def test_a_stalled_connection_stays_open_and_says_nothing(proxy: FaultProxy) -> None:
    with connect(proxy) as one:
        proxy.stall()
        one.settimeout(0.2)
        with pytest.raises(TimeoutError):
            answer(one)
        proxy.resume()
        one.settimeout(60)
        assert one.recv(1) == ANSWER[:1]


def test_delayed_pieces_arrive_later(proxy: FaultProxy) -> None:
    proxy.delay(3600.0)
    with connect(proxy) as one:
        one.settimeout(0.2)
        with pytest.raises(TimeoutError):
            answer(one)
    proxy.delay(0.1)
    with connect(proxy) as one:
        assert answer(one) == ANSWER


def test_garbage_and_rewritten_answers(proxy: FaultProxy) -> None:
    proxy.garble(b"nonsense")
    with connect(proxy) as one:
        assert answer(one) == b"nonsense"
    proxy.garble(None)
    proxy.rewrite(lambda piece: piece.replace(b"\x00", b"!"))
    with connect(proxy) as one:
        assert answer(one) == ANSWER.replace(b"\x00", b"!")
    proxy.rewrite(None)
    with connect(proxy) as one:
        assert answer(one) == ANSWER


def test_it_leaves_nothing(server: str) -> None:
    threads = set(threading.enumerate())
    with FaultProxy(server) as proxy, connect(proxy) as one:
        assert answer(one) == ANSWER
    assert {thread for thread in set(threading.enumerate()) - threads if "proxy" in thread.name} == set()


def test_whoever_comes_just_before_its_end_is_cut(server: str) -> None:
    # The system accepts at once; the proxy is at one step or another with each of them.
    for number in range(20):
        with FaultProxy(server) as proxy:
            connections = [connect(proxy) for _ in range(1 + number)]
        for connection in connections:
            with connection:
                assert ended(connection)
