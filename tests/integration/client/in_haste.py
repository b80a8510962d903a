"""A client that gives up soon, on a machine that may pause for longer than that."""

from contextlib import suppress

from homeport import BackendUnavailable, Discovery, Watch
from homeport.client.watch import OnChange


async def followed(discovery: Discovery, service: str, *, on_change: OnChange | None = None) -> Watch:
    """A watch that has begun, whatever the machine did meanwhile: to who is in haste its pause is an outage."""
    while True:
        with suppress(BackendUnavailable):
            return await discovery.watch(service, on_change=on_change)
