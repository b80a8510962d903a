"""DNS over UDP and TCP: who is answered, from where, and how it ends."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import dns.message
import pytest

from homeport.server.listening import CannotStart, shown
from homeport.server.zones.listening import DNSListening, Sockets
from homeport.testing.memory import Memory
from tests.integration.server.running import serve
from tests.integration.zones.asking import OWN, ask, connected, put, said, until
from tests.servers.factory import HomeportFactory
from tests.servers.ports import LOOPBACK, PortLease
from tests.unit.server.zones.served import served

API = b"\1\2" + dns.message.make_query("api.company.local", "A").to_wire()[2:]
LENGTH = struct.Struct("!H")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A zone in this process, with one service."""
    sockets = Sockets(f"{LOOPBACK}:0", option="--dns")
    async with served(Memory(api=["10.0.0.1:81"])) as zone, DNSListening(sockets, zone.responder):
        yield int(shown(sockets.tcp).rpartition(":")[2])


async def read_answer(reader: asyncio.StreamReader) -> dns.message.Message:
    (size,) = LENGTH.unpack(await reader.readexactly(2))
    return dns.message.from_wire(await reader.readexactly(size))


async def until_let_go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait until the other side ends the connection; it resets it if something was still on the way."""
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_many_questions_on_one_connection_are_answered_in_turn(port: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    questions = [dns.message.make_query("api.company.local", "A") for _ in range(200)]
    stream = b"".join(LENGTH.pack(len(one.to_wire())) + one.to_wire() for one in questions)
    for start in range(0, len(stream), 7):  # in pieces as a network makes them
        writer.write(stream[start : start + 7])
        if start % 70 == 0:
            await writer.drain()
    for question in questions:
        answer = await read_answer(reader)
        assert question.is_response(answer)
        assert answer.answer[0][0].to_text() == "10.0.0.1"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("sent", [b"\0\0", b"\0\3abc", LENGTH.pack(len(API)) + API[:2] + b"\x80" + API[3:]])
async def test_who_asks_nothing_that_can_be_answered_is_let_go(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(sent)
    await until_let_go(reader, writer)


@pytest.mark.parametrize("sent", [b"", b"\0", LENGTH.pack(len(API)) + API[:5]])
async def test_who_says_nothing_more_is_let_go(port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.server.zones.listening._IDLE", 0.1)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(sent)
    await until_let_go(reader, writer)


async def test_only_so_many_connections_are_held(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.server.zones.listening._MOST_CONNECTIONS", 2)
    held = [await asyncio.open_connection(LOOPBACK, port) for _ in range(2)]
    for reader, writer in held:
        writer.write(LENGTH.pack(len(API)) + API)
        await read_answer(reader)
    one_too_many, writer = await asyncio.open_connection(LOOPBACK, port)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await one_too_many.readexactly(1)
    writer.close()
    for reader, other in held:  # the others go on
        other.write(LENGTH.pack(len(API)) + API)
        assert (await read_answer(reader)).answer
        other.close()


async def test_a_flood_of_garbage_leaves_the_others_alone(port: int) -> None:
    random = Random(1)
    loop = asyncio.get_running_loop()
    with connected(LOOPBACK, port, kind=socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for _ in range(2000):
            await loop.sock_sendall(sender, random.randbytes(random.randrange(1, 100)))
            await asyncio.sleep(0)  # it answers in this event loop, and the system holds only so many
        assert await asyncio.to_thread(said, port, "api.company.local") == ["10.0.0.1"]


async def test_of_too_many_at_once_the_last_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.server.zones.listening._MOST_WAITING", 3)
    memory = Memory(api=["10.0.0.1:81"], latency=0.3)
    sockets = Sockets(f"{LOOPBACK}:0", option="--dns")
    async with served(memory) as zone, DNSListening(sockets, zone.responder):
        loop = asyncio.get_running_loop()
        with connected(LOOPBACK, sockets.udp.getsockname()[1], kind=socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            for number in range(5):
                await loop.sock_sendall(asking, bytes((0, number)) + API[2:])
            answered = {(await loop.sock_recv(asking, 2000))[1] for _ in range(3)}
            await loop.sock_sendall(asking, b"\0\7" + API[2:])  # there is room again
            assert (answered, (await loop.sock_recv(asking, 2000))[1]) == ({0, 1, 2}, 7)


async def test_ports_that_are_free_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 0 is one number for UDP and TCP, also when the first that the system gives is taken for the other."""
    real = socket.create_server
    with PortLease() as lease, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOOPBACK, lease.ports[0]))
        first = list(lease.ports)
        monkeypatch.setattr(
            socket, "create_server", lambda at, **more: real((at[0], first.pop() if first else at[1]), **more)
        )
        with contextlib.closing(Sockets(f"{LOOPBACK}:0", option="--dns")) as found:
            assert not first
            assert found.tcp.getsockname() == found.udp.getsockname()
            assert found.tcp.getsockname()[1] != lease.ports[0]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_is_taken_is_told(kind: socket.SocketKind, tmp_path: Path) -> None:
    file = tmp_path / "homeport.yaml"
    file.write_text(OWN, encoding="utf-8")
    with PortLease(1) as lease, socket.socket(socket.AF_INET, kind) as holder:
        holder.bind((LOOPBACK, lease.ports[0]))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        at = f"{LOOPBACK}:{lease.ports[0]}"
        ended = serve("--dev", "--http", f"{LOOPBACK}:0", "--dns", at, "--config", str(file))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(f"homeport: port {lease.ports[0]} is taken")
    assert ended.err.endswith("choose another port with --dns.\n")
    assert ended.err.count("\n") == 1


def test_no_address_is_none_of_this_host() -> None:
    with pytest.raises(
        CannotStart, match=r'^"192\.0\.2\.1" is not an address of this host; choose another with --dns$'
    ):
        Sockets("192.0.2.1:0", option="--dns")


def test_each_address_answers_for_itself(homeport_factory: HomeportFactory) -> None:
    """Who listens everywhere answers from where the question came: from elsewhere nobody would believe it."""
    server = homeport_factory(dev=True, config=OWN, arguments=["--dns", "0.0.0.0:0"])
    put(server, "api", 1)
    port = server.dns_port
    until(lambda: said(port, "api.company.local"), ["10.0.0.1"])
    for host in ("127.0.0.1", "127.0.0.2", "127.8.8.8"):
        with connected(host, port, kind=socket.SOCK_DGRAM) as asking:
            asking.send(API)
            assert dns.message.from_wire(asking.recv(2000)).answer[0][0].to_text() == "10.0.0.1"
        assert ask(port, "api.company.local", host=host, tcp=True).answer
    assert "answering DNS beyond this host" in server.log_path.read_text(encoding="utf-8")
    assert server.stop() == 0


def test_it_ends_while_others_are_connected(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory(dev=True, dns=True, config=OWN)
    put(server, "api", 1)
    assert said(server.dns_port, "api.company.local") == ["10.0.0.1"]
    with connected(LOOPBACK, server.dns_port, kind=socket.SOCK_STREAM) as asking, asking.makefile("rb") as answers:
        asking.sendall(LENGTH.pack(len(API)) + API)
        (size,) = LENGTH.unpack(answers.read(LENGTH.size))
        assert dns.message.from_wire(answers.read(size)).answer  # it has accepted the connection
        asking.sendall(LENGTH.pack(len(API)) + API[:3])
        assert server.stop() == 0
        with contextlib.suppress(ConnectionError):  # what it had not read yet makes a reset of its end
            assert answers.read(1) == b""
    log = server.log_path.read_text(encoding="utf-8")
    assert not [word for word in ("Traceback", "error", "warning") if word in log], log
