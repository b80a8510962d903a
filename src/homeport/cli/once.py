"""``register`` without COMMAND and without ``--keep``: a registration that outlives this process."""

from __future__ import annotations

import secrets

import msgspec

from homeport.client.automatic import stable_id
from homeport.model import Service
from homeport.spi import Registrar

from .exits import say
from .options import Form
from .output import show_one
from .views import registration_view


async def register_once(source: Registrar, service: Service, *, own_id: bool, form: Form) -> int:
    """Register for good, and print what was registered.

    Unless the id is the user's own, it is made of name, address and port, so that registering the same twice is one
    instance, not two.

    Raises:
        HomeportError: the backend cannot be asked, or refuses.
    """
    if not own_id:
        service = msgspec.structs.replace(service, id=stable_id(service))
    await source.register(service, ttl=None, incarnation=secrets.token_hex(6))
    view = registration_view(service, backend=source.url)
    show_one(view, form=form, text=lambda row: f"registered {row['id']} at {row['endpoint']} on {row['backend']}")
    if form == "table" and not service.checks:
        say(
            f'nothing checks whether "{service.id}" still works; give --health-check or --ttl, or keep it by --keep. '
            f'"homeport deregister {service.name} --service-id {service.id}" removes it.'
        )
    return 0
