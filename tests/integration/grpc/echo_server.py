"""A real gRPC server in this process that says who it is, with one method of each kind and without generated code."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from homeport.model import Instance

PATIENCE = 60.0
WHO = "/echo.Echo/Who"
"""Answers the name of the server."""
FAIL = "/echo.Echo/Fail"
"""Ends with the status that the request names."""
HANG = "/echo.Echo/Hang"
"""Answers when the server is told to, or the call is over."""
HEADERS = "/echo.Echo/Headers"
"""Answers the metadata of the call, and its authority, as lines."""
COUNT = "/echo.Echo/Count"
"""Answers the name of the server as often as the request says; 0 is until the call is over."""
JOIN = "/echo.Echo/Join"
"""Answers the name of the server and all requests, joined by spaces."""
CHAT = "/echo.Echo/Chat"
"""Answers each request with the name of the server and the request; the request `fail` ends it with INTERNAL."""


class EchoServer:
    """Serves on a free port of loopback until it is stopped. `calls` counts those that arrived."""

    def __init__(self, name: str, *, credentials: grpc.ServerCredentials | None = None, port: int = 0) -> None:
        self.name = name
        self.calls = 0
        self.release = threading.Event()
        self.arrived = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self._threads = ThreadPoolExecutor(16, thread_name_prefix=f"echo-{name}")
        self._server = grpc.server(self._threads, options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers((self._handlers(),))
        address = f"127.0.0.1:{port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        self._server.start()

    def instance(self, service: str = "echo", **fields: Any) -> Instance:
        """It as an instance of a service."""
        return Instance(id=self.name, service=service, address="127.0.0.1", port=self.port, **fields)

    def stop(self) -> None:
        """End at once: what is under way is broken off, and nobody can connect any more. Twice is harmless."""
        stopped = self._server.stop(None)
        self.release.set()
        if not stopped.wait(PATIENCE):
            raise TimeoutError(f"the server {self.name} did not stop within {PATIENCE:g} s")
        self._threads.shutdown()

    def _handlers(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "echo.Echo",
            {
                "Who": grpc.unary_unary_rpc_method_handler(self._who),
                "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
                "Hang": grpc.unary_unary_rpc_method_handler(self._hang),
                "Headers": grpc.unary_unary_rpc_method_handler(self._headers),
                "Count": grpc.unary_stream_rpc_method_handler(self._count),
                "Join": grpc.stream_unary_rpc_method_handler(self._join),
                "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
            },
        )

    def _arrive(self, context: grpc.ServicerContext) -> None:
        self.calls += 1
        context.add_callback(self.ended.release)
        self.arrived.release()

    def _who(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        self._arrive(context)
        return self.name.encode()

    def _fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._arrive(context)
        context.abort(grpc.StatusCode[request.decode()], f"{self.name} was asked to fail")

    def _hang(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        self._arrive(context)
        while context.is_active() and not self.release.wait(0.01):
            pass
        return self.name.encode()

    def _headers(self, _request: bytes, context: Any) -> bytes:
        self._arrive(context)
        context.send_initial_metadata((("served-by", self.name),))
        context.set_trailing_metadata((("done-by", self.name),))
        lines = [f"{key}={value}" for key, value in context.invocation_metadata()]
        # Where a servicer finds ":authority" is no public part of gRPC.
        lines.append(f":authority={context._rpc_event.call_details.host.decode()}")
        return "\n".join(lines).encode()

    def _count(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._arrive(context)
        number = int(request)
        made = 0
        while context.is_active() and (not number or made < number):
            made += 1
            yield self.name.encode()

    def _join(self, requests: Iterable[bytes], context: grpc.ServicerContext) -> bytes:
        self._arrive(context)
        return b" ".join((self.name.encode(), *requests))

    def _chat(self, requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self._arrive(context)
        for request in requests:
            if request == b"fail":
                context.abort(grpc.StatusCode.INTERNAL, f"{self.name} was asked to fail")
            yield f"{self.name} {request.decode()}".encode()
