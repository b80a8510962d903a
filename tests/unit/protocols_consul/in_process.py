"""Asks an API in this process, through the server's own front: its routing, its methods, its error texts."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from homeport.server.front import Front
from homeport.server.http_date import HTTPDate
from homeport.server.settings import Limits
from homeport.wire.http import Routes


class Answer(msgspec.Struct, frozen=True):
    """What came back; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class InProcess:
    """A client of the API behind ``routes``."""

    def __init__(self, routes: Routes) -> None:
        self._front = Front(routes, common_headers=(), limits=Limits(), date=HTTPDate())

    async def ask(
        self,
        method: str,
        target: str,
        body: object = b"",
        *,
        headers: Mapping[str, str] | None = None,
        client: str = "127.0.0.1",
    ) -> Answer:
        """One request; a body that is not bytes is sent as JSON."""
        path, _, query = target.partition("?")
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "query_string": query.encode(),
            "headers": [
                (b"content-length", str(len(sent)).encode()),
                *((name.lower().encode(), value.encode()) for name, value in (headers or {}).items()),
            ],
            "client": (client, 40000),
        }
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": sent}

        async def send(message: Any) -> None:
            messages.append(message)

        await self._front(scope, receive, send)
        start, *parts = messages
        answered = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], answered, b"".join(part["body"] for part in parts))

    async def put(self, target: str, body: object = b"", **options: Any) -> Answer:
        return await self.ask("PUT", target, body, **options)

    async def get(self, target: str, **options: Any) -> Answer:
        return await self.ask("GET", target, **options)
