"""``register --keep``: a registration that lasts as long as this process."""

from __future__ import annotations

import asyncio
import signal

from homeport.client.discovery import Discovery
from homeport.client.keeper import Standing
from homeport.client.registration import Registration
from homeport.model import Service

from .choosing import registrar
from .exits import FAILED, INTERRUPTED
from .options import Form
from .output import Row, show_one
from .signals import Signals
from .standing import leave, tell
from .views import registration_view


async def keep_registered(discovery: Discovery, service: Service, *, ttl: float, form: Form) -> int:
    """Register, print that, and stay until a signal comes or another program takes the registration over.

    Returns 0 after SIGTERM, 130 after Ctrl-C, 1 after a takeover.

    Raises:
        HomeportError: it cannot be registered.
    """
    registration = discovery.register(service, ttl=ttl, on_change=tell)
    # Taken before anything is sent: whoever sees the registration may end this program and find it gone.
    with Signals((signal.SIGTERM, signal.SIGINT)) as signals:
        number = await _kept(registration, signals, backend=registrar(*discovery.backends).url, form=form)
        left = await leave(registration, ttl=ttl)
    if number is None:
        return FAILED
    return INTERRUPTED if number is signal.SIGINT else left


async def _kept(registration: Registration, signals: Signals, *, backend: str, form: Form) -> signal.Signals | None:
    """The signal that ends the registration, None when it was taken over.

    Raises:
        HomeportError: it cannot be registered.
    """
    came = asyncio.create_task(signals.next(), name="homeport signal")
    registering = asyncio.create_task(registration.begin(), name="homeport register")
    replaced = asyncio.create_task(registration.wait_for(Standing.REPLACED), name="homeport takeover")
    try:
        await asyncio.wait({came, registering}, return_when=asyncio.FIRST_COMPLETED)
        if registering.done():
            registering.result()
            show_one(registration_view(registration.service, backend=backend), form=form, text=_registered)
            await asyncio.wait({came, replaced}, return_when=asyncio.FIRST_COMPLETED)
        return came.result() if came.done() else None
    finally:
        # What was sent cannot be taken back; leaving waits for its outcome, so `registering` goes on.
        came.cancel()
        replaced.cancel()


def _registered(row: Row) -> str:
    return f"registered {row['id']} at {row['endpoint']} on {row['backend']}; Ctrl-C deregisters it."
