"""How a request gets at the `Discovery` of its application."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from homeport.client.discovery import Discovery
from homeport.errors import NotReady


def discovery(connection: HTTPConnection) -> Discovery:
    """The `Discovery` of the application that answers a request or a WebSocket, also of a mounted one.

    A dependency for FastAPI (``Depends(discovery)``); in Starlette it is called with the request.

    Raises:
        NotReady: the application has no lifespan of Homeport, or the server does not run lifespans.
    """
    found = getattr(connection.state, "discovery", None)
    if not isinstance(found, Discovery):
        raise NotReady(
            "this application has no Discovery: give it lifespan=registered(…) or lifespan=discovering(…), "
            "and run it by a server that has lifespans switched on"
        )
    return found
