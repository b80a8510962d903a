"""Stubs for the echo servers: bytes in, bytes out."""

from typing import Any

import grpc
import grpc.aio

from tests.integration.grpc.echo_server import CHAT, COUNT, FAIL, HANG, HEADERS, JOIN, WHO


def same(message: bytes) -> bytes:
    """Bytes are bytes."""
    return message


class AsyncEcho:
    """A stub as generated code makes them, of a channel of `grpc.aio`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # Generated code gives this argument by name; the published types do not know it.
        generated: Any = {"_registered_method": True}
        self.who = channel.unary_unary(WHO, same, same, **generated)
        self.fail = channel.unary_unary(FAIL, same, same, **generated)
        self.hang = channel.unary_unary(HANG, same, same, **generated)
        self.headers = channel.unary_unary(HEADERS, same, same, **generated)
        self.count = channel.unary_stream(COUNT, same, same, **generated)
        self.join = channel.stream_unary(JOIN, same, same, **generated)
        self.chat = channel.stream_stream(CHAT, same, same, **generated)


class Echo:
    """A stub as generated code makes them, of a channel of `grpc`."""

    def __init__(self, channel: grpc.Channel) -> None:
        generated: Any = {"_registered_method": True}
        self.who = channel.unary_unary(WHO, same, same, **generated)
        self.fail = channel.unary_unary(FAIL, same, same, **generated)
        self.hang = channel.unary_unary(HANG, same, same, **generated)
        self.headers = channel.unary_unary(HEADERS, same, same, **generated)
        self.count = channel.unary_stream(COUNT, same, same, **generated)
        self.join = channel.stream_unary(JOIN, same, same, **generated)
        self.chat = channel.stream_stream(CHAT, same, same, **generated)
