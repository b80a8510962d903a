"""Which backend a command talks to."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from homeport import abilities
from homeport.backends.opening import open_backends
from homeport.client.configuration.backend_choice import BACKEND_VARIABLES, choose_backend
from homeport.client.configuration.backend_sections import described_section
from homeport.errors import SettingsError, Unsupported
from homeport.settings import SettingsFile, find_file, read_file
from homeport.spi import Backend, Discoverer, HealthReporter, Registrar

from .exits import Misuse
from .first_answer import FirstAnswer
from .running import READ_TIMEOUT, within

_OWN_VARIABLES = {
    "homeport": ("HOMEPORT_",), "consul": ("CONSUL_",), "etcd": ("ETCD_",), "dns": ("DNS_",), "eureka": ("EUREKA_",),
    "kubernetes": ("K8S_", "KUBECONFIG"),
}  # fmt: skip
"""How the names of the variables begin that say how a kind of backend is reached."""
_NOT_COMPLETING = frozenset({"HOMEPORT_BACKEND", "HOMEPORT_CONFIG", "HOMEPORT_DEBUG", "HOMEPORT_ADVERTISE"})


def settings_file(argument: str | None, environ: Mapping[str, str]) -> SettingsFile | None:
    """The settings file that is meant, read; None when there is none.

    Raises:
        SettingsError: it is missing or broken.
    """
    path = find_file(argument, environ)
    return None if path is None else read_file(path)


def chosen_backends(
    named: Sequence[str] | None, *, environ: Mapping[str, str], file: SettingsFile | None
) -> tuple[Backend, ...]:
    """The backends that the command line, else the environment, else the file names, else the registry on this host.

    Several are a fallback chain, in order of preference. Nothing is connected yet.

    Raises:
        Misuse: the command line names one that cannot be right.
        SettingsError: the environment or the file does.
    """
    chosen, completed = choose_backend(named or None, file=file or SettingsFile(), environ=environ)
    in_file = file is not None and not any(environ.get(variable, "").strip() for variable in BACKEND_VARIABLES)
    try:
        return tuple(one.backend for one in open_backends(chosen, completed))
    except SettingsError as error:
        if named:
            raise Misuse(f"--backend: {error}") from error
        if file is None or not in_file:
            raise
        key = "backend" if file.content.get("backend") is not None else described_section(file) or "backend"
        raise SettingsError(f"{file.name}: {key}: {error}") from error


def reason_of_choice(named: Sequence[str] | None, *, environ: Mapping[str, str], file: SettingsFile | None) -> str:
    """Why it is this backend, or these: the argument, the variable or the file that names it."""
    if named:
        return "--backend names it"
    variable = next((one for one in BACKEND_VARIABLES if environ.get(one, "").strip()), None)
    if variable is not None:
        return f"{variable} names it"
    if file is not None and file.content.get("backend") is not None:
        return f"{file.name} names it"
    if file is not None and (key := described_section(file)):
        return f"{file.name} has it in its section {key}"
    return "nothing names another, so it is the registry on this host"


def variables_of(backend: Backend, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the variables that are set and complete a backend of this kind."""
    prefixes = _OWN_VARIABLES.get(backend.url.partition("://")[0], ())
    return tuple(sorted(one for one in environ if one.startswith(prefixes) and one not in _NOT_COMPLETING))


def chosen_backend(named: Sequence[str] | None, *, environ: Mapping[str, str], file: SettingsFile | None) -> Backend:
    """The one backend that is named as `chosen_backends` says.

    Raises:
        Misuse: there are several, or the command line names one that cannot be right.
        SettingsError: see `chosen_backends`.
    """
    chain = chosen_backends(named, environ=environ, file=file)
    if len(chain) > 1:
        raise Misuse("several backends are a fallback chain, which this command cannot use; name one --backend")
    return chain[0]


@asynccontextmanager
async def opened(named: Sequence[str] | None, *, config: str | None) -> AsyncIterator[Backend]:
    """The chosen backend, closed at the end.

    Raises:
        Misuse: see `chosen_backend`.
        SettingsError: see `chosen_backend`.
    """
    backend = chosen_backend(named, environ=os.environ, file=settings_file(config, os.environ))
    try:
        yield backend
    finally:
        await backend.aclose()


@asynccontextmanager
async def reading(named: Sequence[str] | None, *, config: str | None) -> AsyncIterator[Discoverer]:
    """The chosen backend, for a command that only reads and gives up when that takes too long; closed at the end.

    Of several backends, the first that answers is the one, and each has its share of the time.

    Raises:
        BackendUnavailable: it took too long.
        HomeportError: see `chosen_backends` and `discoverer`.
    """
    chosen = chosen_backends(named, environ=os.environ, file=settings_file(config, os.environ))
    chain = [discoverer(one) for one in chosen]
    backend = chain[0] if len(chain) == 1 else FirstAnswer(chain, patience=READ_TIMEOUT / len(chain))
    try:
        async with within(READ_TIMEOUT, backend):
            yield backend
    finally:
        await backend.aclose()


def discoverer(backend: Backend) -> Discoverer:
    """The backend as one that finds services.

    Raises:
        Unsupported: it does not.
    """
    if not isinstance(backend, Discoverer):
        raise Unsupported(f"{backend.url} does not find services", backend=backend.url, able=abilities.FINDING)
    return backend


def reporter(backend: Backend, *, able: Sequence[str] = abilities.CHECKS) -> HealthReporter:
    """The backend as one whose checks can be asked and set; ``able`` are those that can what is wanted of it.

    Raises:
        Unsupported: they cannot.
    """
    if not isinstance(backend, HealthReporter):
        raise Unsupported(f"{backend.url} has no health checks that can be asked", backend=backend.url, able=able)
    return backend


def registrar(*backends: Backend) -> Registrar:
    """The one that takes registrations: as for a `Discovery`, the first of a chain that can.

    Raises:
        Unsupported: none can.
    """
    for one in backends:
        if isinstance(one, Registrar):
            return one
    raise Unsupported(
        f"{' and '.join(one.url for one in backends)} takes no registrations",
        backend=backends[0].url,
        able=abilities.REGISTERING,
    )
