"""``debug dns``: what DNS says of a name, server by server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from homeport.errors import MissingExtra

from . import options
from .choosing import chosen_backend, settings_file
from .exits import DONE, FAILED
from .output import write
from .running import run_async
from .steps import Step, outcome, show_step, show_steps


def debug_dns(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name in DNS, or a service.", show_default=False)],
    *,
    servers: Annotated[
        list[str] | None,
        typer.Option(
            "--server",
            metavar="HOST[:PORT]",
            help="The DNS server to ask; repeated: each of them. By default those of a dns:// backend, else the one of "
            "the Consul agent that is the backend, else those of this system.",
            show_default=False,
        ),
    ] = None,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Ask DNS servers for the SRV records and the addresses of a name, and tell what they say, and what it means.

    A name without a dot is a service: it is looked for in the domains of a dns:// backend, else in service.consul.

    Exit code 1 when no server has records, 3 when none answers.
    """
    try:
        from .dns_lookup import look_up, planned
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "dns":
            raise
        raise MissingExtra('"homeport debug dns"', "dns") from error

    async def work() -> int:
        source = chosen_backend(backend, environ=os.environ, file=settings_file(config, os.environ))
        try:
            asked = await planned(name, servers, source)
        finally:
            await source.aclose()
        if form == "table":
            write(f"asking {', '.join(map(str, asked.servers))}: {asked.why}\n")
        told: list[tuple[str, Step]] = []
        for server in asked.servers:
            for one in asked.names:
                for step in await look_up(server, one, asked.settings):
                    told.append(("", step))
                    show_step(step, form=form, verbose=False)
        show_steps(told, form=form)
        steps = [step for _, step in told]
        if any(step.state == "ok" for step in steps):
            return DONE
        return outcome(steps) or FAILED

    return run_async(work())
