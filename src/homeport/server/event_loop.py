"""The event loop of a registry."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from homeport.processes import LastingLoop

if TYPE_CHECKING:
    _Fastest = asyncio.SelectorEventLoop
else:
    try:
        from uvloop import Loop as _Fastest
    except ImportError:
        _Fastest = asyncio.SelectorEventLoop


class RegistryLoop(LastingLoop, _Fastest):
    """The fastest event loop there is."""
