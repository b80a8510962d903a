"""DNS over UDP and TCP (RFC 1035, 4.2; RFC 7766)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from types import TracebackType
from typing import Self

from homeport.client.tasks import Tasks
from homeport.server.listening import CannotStart, listen, parse_address

from .datagrams import Datagram, Datagrams
from .responder import Responder

_log = logging.getLogger(__name__)

_MOST_WAITING = 1000
_MOST_CONNECTIONS = 200
_IDLE = 10.0
"""Seconds for which a connection may say nothing, take nothing, or be amid a question."""
_ATTEMPTS = 16
_BUFFER_BYTES = 1 << 20  # for questions that come while a large answer is written; the system may give less
_AT_A_TIME = 64
"""Datagrams that are read before others have their turn."""


class Sockets:
    """A TCP and a UDP socket at one address, HOST:PORT; port 0 takes one that is free for both.

    Raises:
        CannotStart: the address is malformed, not of this host, taken, or not permitted.
    """

    def __init__(self, address: str, *, option: str) -> None:
        _, port = parse_address(address, option=option)
        for attempt in range(_ATTEMPTS):
            self.tcp = listen(address, option=option)
            self.udp = socket.socket(self.tcp.family, socket.SOCK_DGRAM)
            try:
                self._bind()
                return
            except OSError as error:
                self.close()
                if error.errno != errno.EADDRINUSE:
                    why = os.strerror(error.errno) if error.errno else str(error)
                    raise CannotStart(
                        f"cannot listen on {address} by UDP ({why}); choose another with {option}"
                    ) from error
                if port or attempt == _ATTEMPTS - 1:
                    raise CannotStart(
                        f"port {port} is taken for UDP by another program; stop it, or choose another port with "
                        f"{option}."
                    ) from error

    def _bind(self) -> None:
        if self.udp.family == socket.AF_INET6:
            self.udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as for TCP
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self.udp.bind(self.tcp.getsockname())
        self.udp.settimeout(0)

    def close(self) -> None:
        """Close both."""
        self.tcp.close()
        self.udp.close()


class DNSListening:
    """Has questions at the sockets answered; use as ``async with``. Ending it closes the sockets."""

    def __init__(self, sockets: Sockets, responder: Responder) -> None:
        self._tcp = sockets.tcp
        self._udp = Datagrams(sockets.udp)
        self._responder = responder
        self._tasks = Tasks()
        self._waiting = 0
        self._connections = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, sock=self._tcp)
        asyncio.get_running_loop().add_reader(self._udp, self._received)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._udp)
        if self._server is not None:
            self._server.close()
        await self._tasks.aclose()
        self._udp.close()
        await asyncio.sleep(0)  # for the connections to close

    def _received(self) -> None:
        """Have datagrams answered. What is too much at once is dropped, as UDP would; who asked asks again."""
        for _ in range(_AT_A_TIME):
            question = self._udp.receive()
            if question is None:
                return
            kept = self._responder.at_once(question.data, tcp=False)
            if kept is not None:
                self._udp.reply(question, kept)
            elif self._waiting < _MOST_WAITING:
                self._waiting += 1
                self._tasks.launch(self._answer_by_udp(question), name="homeport dns question")

    async def _answer_by_udp(self, question: Datagram) -> None:
        try:
            made = await self._responder.answer(question.data, tcp=False)
            if made is not None:
                self._udp.reply(question, made)
        except Exception:  # noqa: BLE001 - one question must not take the others along
            _log.exception("a DNS question could not be answered")
        finally:
            self._waiting -= 1

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= _MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        # In a task of ours, so that the end of this object is its end.
        self._tasks.launch(self._answer_by_tcp(reader, writer), name="homeport dns connection")

    async def _answer_by_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question after the other, until the client has no more or goes."""
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, TimeoutError, OSError):
                while True:
                    async with asyncio.timeout(_IDLE):
                        size = int.from_bytes(await reader.readexactly(2), "big")
                        question = await reader.readexactly(size)
                    made = self._responder.at_once(question, tcp=True)
                    if made is None:
                        made = await self._responder.answer(question, tcp=True)
                    if made is None:
                        return
                    writer.write(len(made).to_bytes(2, "big") + made)
                    async with asyncio.timeout(_IDLE):
                        await writer.drain()
        except Exception:  # noqa: BLE001 - one question must not take the others along
            _log.exception("a DNS question could not be answered")
        finally:
            self._connections -= 1
            writer.close()
