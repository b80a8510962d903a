"""``debug``: what goes wrong, step by step."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from homeport.model import Service

from . import options
from .choosing import reason_of_choice, settings_file, variables_of
from .configured import client
from .debug_dns import debug_dns
from .debug_health_checks import debug_health_checks
from .debug_network import debug_network
from .diagnosis import RegistrationDiagnosis
from .running import run_async
from .steps import Step, outcome, show_step, show_steps

app = typer.Typer(add_completion=False, rich_markup_mode="rich")
debug = typer.Typer(add_completion=False, rich_markup_mode="rich")
app.add_typer(
    debug,
    name="debug",
    help="Find out, step by step, why something does not work.",
    rich_help_panel="Connection",
    epilog=options.examples(
        "debug register api --verbose",
        "debug health-checks api --detailed",
        "debug dns api.service.consul",
        "debug network --test-ports 8300,8301,8302",
    ),
)


@debug.command("register", epilog=options.examples("debug register api", "debug register api --verbose"))
def register(
    name: options.Name,
    *,
    address: Annotated[
        str, typer.Option("--address", metavar="HOST", help="Where the instance is reached.", show_default=False)
    ] = "",
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="Its port.", min=0, max=65535)] = 0,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="What was found out at each step, and how long it took.")
    ] = False,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Try a registration step by step, and tell what works and what does not.

    Which backend is meant and why, its name, the connection, who answers, the address to announce, the permission; then
    a real registration under an id of its own, which no healthy answer contains and which is removed at once.
    """

    async def work() -> int:
        steps: list[Step] = []
        async with client(backend, config=config) as discovery:
            source = discovery.backend
            reason = reason_of_choice(backend, environ=os.environ, file=settings_file(config, os.environ))
            diagnosis = RegistrationDiagnosis(
                discovery,
                Service(name=name, address=address, port=port),
                reason=reason,
                variables=variables_of(source, os.environ),
            )
            async for step in diagnosis.steps():
                steps.append(step)
                show_step(step, form=form, verbose=verbose, backend=source.url)
        show_steps([(source.url, step) for step in steps], form=form)
        return outcome(steps)

    return run_async(work())


debug.command(
    "health-checks", epilog=options.examples("debug health-checks api --detailed", "debug health-checks api --probe")
)(debug_health_checks)
debug.command("dns", epilog=options.examples("debug dns api.service.consul", "debug dns api --server 10.0.0.2:8600"))(
    debug_dns
)
debug.command(
    "network",
    epilog=options.examples("debug network --test-ports 8300,8301,8302", "debug network db.internal --test-ports 5432"),
)(debug_network)
