"""A FastAPI application, run by uvicorn. SHOP_* variables say how it is registered."""

import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from homeport import Discovery
from homeport.integrations.starlette import discovery, registered

_log = logging.getLogger("uvicorn.error")
other = socket.create_server(("127.0.0.1", 0)) if "SHOP_OTHER_SOCKET" in os.environ else None
drain = os.environ.get("SHOP_DRAIN", "0")


@asynccontextmanager
async def own(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    assert isinstance(app.state.discovery, Discovery)
    _log.info("own lifespan begins")
    yield {"greeting": "hello"}
    _log.info("own lifespan ends")


app = FastAPI(
    lifespan=registered(
        os.environ["SHOP_NAME"],
        port=int(os.environ["SHOP_PORT"]) if "SHOP_PORT" in os.environ else None,
        drain_time=None if drain == "None" else float(drain),
        lifespan=own,
        tags=["shop"],
        ttl=600,
    )
)


@app.get("/find/{service}")
async def find(service: str, found: Annotated[Discovery, Depends(discovery)], request: Request) -> dict[str, str]:
    assert request.state.discovery is found
    instance = await found.resolve(service)
    return {"greeting": request.state.greeting, "endpoint": instance.endpoint, "pid": str(os.getpid())}
