"""A FastAPI application that is registered while it serves. Run it with `uvicorn fastapi_app:app`."""

from typing import Annotated

from fastapi import Depends, FastAPI

from homeport import Discovery
from homeport.integrations.starlette import discovery, registered

app = FastAPI(lifespan=registered("web", tags=["production"]))


@app.get("/")
async def invoices(found: Annotated[Discovery, Depends(discovery)]) -> dict[str, str]:
    billing = await found.resolve("billing")  # asks once; from then on from memory
    return {"invoices": billing.url("/v1/invoices")}
