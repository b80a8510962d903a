"""``register --file``: what a file of definitions says is registered."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from homeport.client.definitions.files import read_definitions
from homeport.client.definitions.variables import Variables, variables

from .choosing import registrar
from .configured import client
from .exits import Failure, Misuse
from .keeping import keep_registered
from .once import register_once
from .options import Form
from .running import READ_TIMEOUT, run_async, within
from .wrapping import run_registered


def register_file(
    file: str,
    name: str,
    values: Mapping[str, str],
    *,
    command: Sequence[str] | None,
    keep: bool,
    ttl: float | None,
    start_timeout: float,
    backend: Sequence[str] | None,
    form: Form,
    config: str | None,
) -> int:
    """Register the services of a file, with ``name`` only that one: once, while a command runs, or until Ctrl-C.

    Raises:
        Misuse: several would have to be kept.
        SettingsError: the file cannot be right.
        HomeportError: they cannot be registered.
    """
    definitions = read_definitions(Path(file))

    async def work() -> int:
        async with client(backend, config=config) as discovery:
            source = registrar(*discovery.backends)
            async with within(READ_TIMEOUT, source):
                services = list((await discovery.services_of(definitions, variables_of(values))).values())
                wanted = [one for one in services if name in ("", one.name)]
                completed = [(await discovery.completed(one), bool(one.id)) for one in wanted]
            if not wanted:
                known = ", ".join(f'"{one.name}"' for one in services)
                raise Failure(f'{file} does not define "{name}"; it defines {known}.')
            if command is None and not keep:
                for service, own_id in completed:
                    await register_once(source, service, own_id=own_id, form=form)
                return 0
            if len(wanted) > 1:
                raise Misuse(
                    f'{file} defines {len(wanted)} services; name one, or keep them all with "homeport agent --config".'
                )
            service, _ = completed[0]
            lasting = discovery.configuration.policy.ttl if ttl is None else ttl
            if command:
                return await run_registered(command, discovery, service, ttl=lasting, start_timeout=start_timeout)
            return await keep_registered(discovery, service, ttl=lasting, form=form)

    return run_async(work())


def variables_of(values: Mapping[str, str]) -> Variables:
    """The variables for definitions that this command registers for others: the same each time it is run."""
    return variables(values, environ=os.environ, of_process=False)
