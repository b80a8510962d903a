"""An HTTP exchange as routes see it, whatever server carries it: request in, response out. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class HTTPError(Exception):
    """Answer with this status and this text, and do nothing else. ``headers`` are added to the answer."""

    def __init__(self, status: int, message: str, *, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = tuple(headers)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose body has been read.

    ``path`` is percent-decoded, ``rest`` what follows the route's prefix. ``query`` holds every value of every
    parameter in order. Header names are lower case; of a header that came twice the first value counts.
    """

    method: str
    path: str
    rest: str = ""
    query: Mapping[str, Sequence[str]] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""
    client: str = ""

    def has(self, parameter: str) -> bool:
        """Whether a parameter is present, with or without a value."""
        return parameter in self.query

    def first(self, parameter: str, default: str = "") -> str:
        """The first value of a parameter."""
        values = self.query.get(parameter)
        return values[0] if values else default

    def values(self, parameter: str) -> Sequence[str]:
        """All values of a parameter, in order."""
        return self.query.get(parameter, ())


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. ``headers`` come beside what every answer carries; a ``content_type`` of "" sends none."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()


EMPTY = Response(content_type="")
"""200 with nothing to say: what Consul answers to a write without result."""

Handler = Callable[[Request], Awaitable[Response]]


def text(message: str, status: int = 200, *, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """A plain-text answer, as Consul's errors are."""
    return Response(status=status, body=message.encode(), content_type=TEXT, headers=headers)


class Routes:
    """Handlers by path, matched as Go's ``ServeMux`` does (https://pkg.go.dev/net/http#ServeMux).

    An exact path comes first, else the longest prefix that ends in ``/``.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {}

    def add(self, methods: Sequence[str], path: str, handler: Handler) -> None:
        """Answer ``methods`` at ``path`` (everything below it, when it ends in ``/``) by ``handler``."""
        at_path = self._handlers.setdefault(path, {})
        for method in methods:
            if method in at_path:
                raise ValueError(f"{method} {path} has a handler already")
            at_path[method] = handler

    def include(self, other: Routes) -> None:
        """Take over all routes of another table."""
        for path, at_path in other._handlers.items():
            for method, handler in at_path.items():
                self.add([method], path, handler)

    def find(self, path: str) -> tuple[Mapping[str, Handler], str] | None:
        """The handlers by method for ``path``, and what follows the matched prefix; None when nothing matches."""
        exact = self._handlers.get(path)
        if exact is not None:
            return exact, ""
        end = len(path)
        while (end := path.rfind("/", 0, end)) >= 0:
            below = self._handlers.get(path[: end + 1])
            if below is not None:
                return below, path[end + 1 :]
        return None
