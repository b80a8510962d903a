"""``register`` and ``deregister``: one instance in, one instance out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer
import typer.core

from homeport.client.configuration.configuration import SERVICE_NAME
from homeport.model import HealthCheck, Instance, Query, Service, TTLCheck

from . import columns, options
from .check_texts import FORMS, health_check
from .choosing import discoverer, opened, registrar
from .configured import client
from .exits import Failure, Misuse
from .from_file import register_file
from .keeping import keep_registered
from .lookup import SeveralInstances, instances_of, one_of
from .once import register_once
from .output import printable, show, show_one
from .running import READ_TIMEOUT, run_async, within
from .views import instance_view
from .wrapping import run_registered

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_PANEL = "Registration"
_COMMAND = "homeport.command"
_LEASE = "15s"
_START = "30s"


class WithCommand(typer.core.TyperCommand):
    """A command that takes another command line after ``--``, whose options are not looked at."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Set what follows ``--`` apart."""
        if "--" in args:
            place = args.index("--")
            ctx.meta[_COMMAND] = args[place + 1 :]
            args = args[:place]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND [ARGUMENTS]...]"]


@app.command(
    "register",
    cls=WithCommand,
    rich_help_panel=_PANEL,
    epilog=options.examples(
        "register web --port 8000 -- python -m http.server 8000",
        'register api --address 10.0.1.100 --port 8080 --tags "api,v2" --health-check http://10.0.1.100:8080/health',
        "register api --port 8080 --keep",
        "register --file services/api.yaml --set version=2.1.0",
    ),
)
def register(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The service; by default DISCOVERY_SERVICE_NAME, with --file the only one in it.",
            show_default=False,
        ),
    ] = "",
    *,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="HOST",
            help="Where the instance is reached; else HOMEPORT_ADVERTISE, else this host as the backend sees it.",
            show_default=False,
        ),
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", help="Its port; 0 if it has none.", min=0, max=65535, show_default=False
        ),
    ] = None,
    instance_id: Annotated[
        str,
        typer.Option(
            "--id",
            "--service-id",
            metavar="ID",
            help="The id of the instance; by default made of name, address and port, or unique where a lease is kept.",
            show_default=False,
        ),
    ] = "",
    tags: Annotated[
        str | None, typer.Option("--tags", metavar="TAG,TAG", help="Tags, separated by commas.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="One tag; may be repeated.", show_default=False)
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option("--meta", metavar="KEY=VALUE", help="Metadata; may be repeated.", show_default=False),
    ] = None,
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="The version of the instance.", show_default=False)
    ] = "",
    environment: Annotated[
        str, typer.Option("--environment", metavar="ENV", help="The environment it belongs to.", show_default=False)
    ] = "",
    weight: Annotated[int, typer.Option("--weight", metavar="N", help="Its share of the load.", min=0, max=65535)] = 1,
    health_checks: Annotated[
        list[str] | None,
        typer.Option(
            "--health-check",
            metavar="CHECK",
            help=f"What the registry checks: {options.as_help(FORMS)}. May be repeated.",
            show_default=False,
        ),
    ] = None,
    check_name: Annotated[
        str, typer.Option("--check-name", metavar="NAME", help="The name of the health check.", show_default=False)
    ] = "",
    check_interval: Annotated[
        str, typer.Option("--check-interval", metavar="DURATION", help="How often it is checked.")
    ] = "10s",
    check_timeout: Annotated[
        str, typer.Option("--check-timeout", metavar="DURATION", help="How long one check may take.")
    ] = "5s",
    deregister_after: Annotated[
        str | None,
        typer.Option(
            "--deregister-after",
            metavar="DURATION",
            help="Remove the instance when a check was critical for that long.",
            show_default=False,
        ),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl",
            metavar="DURATION",
            help="With COMMAND or --keep, how long the registration outlives a killed program (15s). Otherwise a TTL "
            'check, which turns critical unless "homeport health-update" reports at least that often.',
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="A file of service definitions to register; with NAME only that one.",
            show_default=False,
        ),
    ] = None,
    values: options.Set = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Stay, keep the registration alive, and deregister on Ctrl-C or SIGTERM.")
    ] = False,
    start_timeout: Annotated[
        str | None,
        typer.Option(
            "--start-timeout",
            metavar="DURATION",
            help="How long COMMAND may take until its port answers (30s); 0 registers at once.",
            show_default=False,
        ),
    ] = None,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Register an instance of a service: while a COMMAND runs, until Ctrl-C (--keep), or until it is deregistered.

    With -- COMMAND: starts it, registers as soon as its port answers, forwards signals to it, deregisters when it is
    told to end or ends, and exits with its exit code. When this process is killed, the lease runs out.

    With --keep: stays in the foreground, renews the lease and makes a lost registration again.

    With neither: returns at once. Nobody renews the registration: it stays until it is deregistered, and only its
    health checks tell whether the instance still works.

    With --file: what it is stands in a file of definitions; --set gives values for its places, {{ .version }}.
    """
    command: list[str] | None = context.meta.get(_COMMAND)
    _refuse_contradictions(command, keep=keep, start_timeout=start_timeout)
    once = command is None and not keep
    lease = options.duration(ttl or _LEASE, option="--ttl")
    patience = options.duration(start_timeout or _START, option="--start-timeout")
    if file is not None:
        _refuse_beside_file(context)
        return register_file(
            file, name, options.pairs(values, option="--set"), command=command, keep=keep,
            ttl=lease if ttl else None, start_timeout=patience, backend=backend, form=form, config=config,
        )  # fmt: skip
    if values:
        raise Misuse("--set gives values for the places of a definition, and there is no --file.")
    common = check_fields(
        check_name, check_interval, check_timeout, deregister_after, several=len(health_checks or ()) > 1
    )
    name = name or os.environ.get(SERVICE_NAME, "").strip()
    if not name:
        raise Misuse(f"register needs a NAME, or {SERVICE_NAME}, or a --file.")
    metadata = options.pairs(meta, option="--meta")
    if port is None:
        raise Misuse(f'register needs --port, since others call "{name}" there; --port 0 is for what is not called.')
    wished = Service(
        name=name,
        id=instance_id,
        address=address,
        port=port,
        tags=options.separated(tags, tag),
        meta=metadata,
        version=version,
        environment=environment,
        weight=weight,
    )

    async def work() -> int:
        async with client(backend, config=config) as discovery:
            source = registrar(*discovery.backends)
            async with within(READ_TIMEOUT, source):
                service = await discovery.completed(wished)
            checks = checks_of(health_checks or (), service, common=common, ttl=lease if once and ttl else None)
            service = msgspec.structs.replace(service, checks=checks)
            if command:
                return await run_registered(command, discovery, service, ttl=lease, start_timeout=patience)
            if keep:
                return await keep_registered(discovery, service, ttl=lease, form=form)
            return await register_once(source, service, own_id=bool(instance_id), form=form)

    return run_async(work())


@app.command(
    "deregister",
    rich_help_panel=_PANEL,
    epilog=options.examples("deregister api", "deregister api --service-id api-node-1"),
)
def deregister(
    name: options.Name,
    *,
    service_id: options.ServiceId = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Remove an instance of a service. With several instances, --service-id names one; without it they are listed."""

    async def work() -> tuple[str, Instance]:
        async with opened(backend, config=config) as source:
            holder = registrar(source)
            async with within(READ_TIMEOUT, source):
                found = await instances_of(discoverer(source), Query(service=name, healthy=False))
            instance = one_of(found, service_id, backend=source.url)
            if not await holder.deregister(instance.id):
                own = f' but with the node "{instance.node}"; deregister it there.'
                where = own if instance.node else "; remove it where it was."
                raise Failure(f'"{instance.id}" was not registered through {source.url}{where}')
            return source.url, instance

    try:
        url, instance = run_async(work())
    except SeveralInstances as error:
        show([instance_view(one) for one in error.instances], form=form, columns=columns.INSTANCES)
        raise
    view = {"service": name, "id": instance.id, "backend": url, "deregistered": True}
    show_one(view, form=form, text=lambda row: f"deregistered {printable(row['id'])} from {url}")
    return 0


_WITH_FILE = frozenset({"name", "file", "values", "keep", "ttl", "start_timeout", "backend", "form", "config"})


def _refuse_beside_file(context: typer.Context) -> None:
    """What a definition says is not said on the command line too.

    Raises:
        Misuse: it is.
    """
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name not in _WITH_FILE and source is not None and source.name == "COMMANDLINE":
            raise Misuse(f"{option.opts[0]} is not taken beside --file, which says what is registered; use --set.")


def _refuse_contradictions(command: list[str] | None, *, keep: bool, start_timeout: str | None) -> None:
    if command is not None and not command:
        raise Misuse('there is no COMMAND after "--".')
    if command and keep:
        raise Misuse("--keep is for a registration without COMMAND; with one it lasts as long as COMMAND runs.")
    if start_timeout is not None and not command:
        raise Misuse("--start-timeout is how long a COMMAND may take to start, and there is none.")


def check_fields(
    name: str, interval: str, timeout: str, deregister_after: str | None, *, several: bool
) -> dict[str, Any]:
    """The fields that the options of checks give to each check."""
    if name and several:
        raise Misuse("--check-name names one check, and there are several --health-check.")
    removal = None if deregister_after is None else options.duration(deregister_after, option="--deregister-after")
    return {
        "name": name,
        "interval": options.interval(interval, option="--check-interval"),
        "timeout": options.interval(timeout, option="--check-timeout"),
        "deregister_after": removal,
    }


def checks_of(
    texts: Sequence[str], service: Service, *, common: dict[str, Any], ttl: float | None
) -> tuple[HealthCheck, ...]:
    """The checks of the service, whose address is known now."""
    checks = [health_check(text, host=service.address, port=service.port, common=common) for text in texts]
    if ttl is not None:
        checks.append(TTLCheck(ttl=ttl, deregister_after=common["deregister_after"]))
    return tuple(checks)
