"""A client as the command line, the environment and the settings file want it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from homeport.client.configuration.configuration import configuration_of
from homeport.client.configured import ConfiguredDiscovery
from homeport.settings import SettingsFile

from .choosing import chosen_backends, settings_file


@asynccontextmanager
async def client(named: Sequence[str] | None, *, config: str | None) -> AsyncIterator[ConfiguredDiscovery]:
    """A `Discovery` on the chosen backends, closed at the end; what the file defines is not registered by itself.

    Raises:
        Misuse: see `chosen_backends`.
        SettingsError: the file or a variable cannot be right.
    """
    file = settings_file(config, os.environ)
    configuration = configuration_of(file or SettingsFile(name=""), environ=os.environ)
    sources = chosen_backends(named, environ=os.environ, file=file)
    configuration = msgspec.structs.replace(configuration, backend=sources)
    try:
        async with ConfiguredDiscovery(configuration, register=False, handle_signals=False) as discovery:
            yield discovery
    finally:
        for source in sources:
            await source.aclose()
