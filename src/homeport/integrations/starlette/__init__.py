"""Starlette and FastAPI: an application that is registered while it serves, and finds others.

>>> from fastapi import Depends, FastAPI
>>> from homeport import Discovery
>>> from homeport.integrations.starlette import discovery, registered
>>> app = FastAPI(lifespan=registered("api", port=8000, backend="homeport://127.0.0.1:8500"))
>>> @app.get("/invoices")
... async def invoices(discovery: Discovery = Depends(discovery)) -> str:
...     return (await discovery.resolve("billing")).url("/invoices")
"""

from __future__ import annotations

from .dependency import discovery
from .lifespan import discovering, registered

__all__ = ["discovering", "discovery", "registered"]
