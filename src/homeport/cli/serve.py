"""``serve``: the registry server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from homeport.client.configuration.backend_sections import section
from homeport.client.configuration.high_availability import SECTION as HIGH_AVAILABILITY
from homeport.client.configuration.high_availability import HighAvailability
from homeport.settings import SettingsFile, load

from . import options
from .choosing import settings_file
from .exits import Misuse

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    "serve",
    rich_help_panel="Registry",
    epilog=options.examples(
        "serve",
        "serve --dev --http 127.0.0.1:0",
        "serve --source consul://10.0.0.1:8500",
        "serve --config homeport.yaml --data-dir DIR",
    ),
)
def serve(
    *,
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            metavar="HOST:PORT",
            help="Where to listen; port 0 takes a free one. By default 127.0.0.1:8500.",
            show_default=False,
        ),
    ] = None,
    dns: Annotated[
        str | None,
        typer.Option(
            "--dns",
            metavar="HOST:PORT",
            help="Where to answer DNS for the zones of the settings file. By default 127.0.0.1:8600.",
            show_default=False,
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="Where the data are kept; by default homeport in the user's data folder.",
            show_default=False,
        ),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NAME", help="The name of this node; by default homeport.", show_default=False),
    ] = None,
    datacenter: Annotated[
        str | None,
        typer.Option(
            "--datacenter", metavar="DC", help="The name of the datacenter; by default dc1.", show_default=False
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="URL",
            help="Mirror the services of this backend, such as consul://HOST:8500?services=api,web-*; may be repeated.",
            show_default=False,
        ),
    ] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Keep everything in memory; nothing outlives the server.")] = False,
    config: options.Config = None,
) -> int:
    """Serve the registry until SIGTERM or Ctrl-C.

    It speaks Consul's HTTP API. When it serves, it prints one line to stdout, "homeport ready http=HOST:PORT"; logs go
    to stderr. Every setting of the section "server" of the settings file can also be given by a variable, such as
    HOMEPORT_SERVER_DATA_DIR. SIGHUP reads the section "health_checks" again. What --source names, or HOMEPORT_SOURCES,
    or the section "sources", is mirrored into the catalog; "homeport source status" tells how that fares. For the
    zones of the section "dns_discovery" it answers in DNS, and the line has "dns=HOST:PORT" too.
    """
    from homeport.registry.health.file_checks.parsing import NO_FILE_CHECKS, FileChecks, parse
    from homeport.server.listening import CannotStart, parse_address
    from homeport.server.settings import ServerSettings
    from homeport.server.sources.settings import chosen_sources
    from homeport.server.zones.settings import zones_in

    for option, address in (("--http", http), ("--dns", dns)):
        try:
            if address is not None:
                parse_address(address, option=option)
        except CannotStart as error:
            raise Misuse(str(error)) from error
    file = settings_file(config, os.environ)
    zones = zones_in(file, os.environ)
    if dns is not None and not zones:
        raise Misuse(
            "--dns says where zones are answered for, and there is none; name them in the settings file, in "
            "dns_discovery.zones"
        )
    settings = load(
        ServerSettings,
        prefix="server",
        arguments={
            "http": http,
            "dns": dns,
            "data_dir": data_dir,
            "node": node,
            "datacenter": datacenter,
            "dev": dev or None,
        },
        environ=os.environ,
        file=file,
        implied=section(file or SettingsFile(), HIGH_AVAILABILITY, HighAvailability).implied_for_server(),
    )

    sources = chosen_sources(source, environ=os.environ, file=file)

    def file_checks() -> FileChecks:
        again = settings_file(config, os.environ)
        if again is None:
            return NO_FILE_CHECKS
        return parse(again.content.get("health_checks"), settings.health.file, source=again.name)

    # Last, since it takes the longest: settings that cannot be right are told before.
    from homeport.server.app import run

    return run(settings, file_checks=file_checks, sources=sources, zones=zones)
