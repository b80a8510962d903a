"""The kinds of checks by name: those that are built in, and those that other packages bring.

A prober is made when the first check of its kind runs, and what it needs is imported then, outside of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points

import msgspec

from homeport.errors import HomeportError, MissingExtra
from homeport.wire.durations import format_duration

from ...records import CheckDefinition
from ..settings import HealthSettings
from .prober import ClosableProber, Prober, SpeakingProber
from .resolver import Lookup, Resolver
from .targets import Targets
from .trust import Trust

GROUP = "homeport.checks"
"""The entry points by which a package brings kinds of checks; each gives something that returns a `Prober`."""

_EXTRAS = {"http": ("an HTTP check", "server"), "grpc": ("a gRPC check", "grpc")}


class NoProber(HomeportError):
    """There is no such kind of check here, or it cannot be used; the message says what to do."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of check that is ready: its prober, and its words for a run that took too long."""

    prober: Prober
    timed_out: Callable[[CheckDefinition, str], str]


class Probers:
    """Makes the probers and keeps them. Scripts see some of ``environ``; ``lookup`` turns names into addresses."""

    def __init__(
        self, settings: HealthSettings, *, environ: Mapping[str, str], monotonic: Callable[[], float],
        lookup: Lookup | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._environ = environ
        targets = Targets(allow=settings.allow_targets, deny=settings.deny_targets)
        self._resolver = Resolver(targets, monotonic=monotonic, lookup=lookup)
        self._trust = Trust(settings.tls)
        self._kinds: dict[str, Kind | NoProber] = {}
        self._loading = asyncio.Lock()
        self._built_in: Mapping[str, Callable[[], Prober]] = {
            "http": self._http, "tcp": self._tcp, "grpc": self._grpc, "script": self._script,
        }  # fmt: skip

    def knows(self, name: str) -> bool:
        """Whether there is a kind of this name, here or in an installed package."""
        return name in self._built_in or bool(entry_points(group=GROUP, name=name))

    def ready(self, name: str) -> Kind | None:
        """The kind of this name, if it was asked for before. Raises `NoProber` if that failed."""
        found = self._kinds.get(name)
        if isinstance(found, NoProber):
            raise found
        return found

    async def load(self, name: str) -> Kind:
        """The kind of this name. Raises `NoProber`."""
        async with self._loading:
            if name not in self._kinds:
                try:
                    self._kinds[name] = _kind(name, await self._make(name))
                except NoProber as error:
                    self._kinds[name] = error
        found = self.ready(name)
        assert found is not None
        return found

    async def check_settings(self) -> None:
        """Read the files that the settings name. Raises `SettingsError` when one cannot be used."""
        await self._trust.context(verify=True)

    async def aclose(self) -> None:
        """Close all probers."""
        for kind in self._kinds.values():
            if isinstance(kind, Kind) and isinstance(kind.prober, ClosableProber):
                await kind.prober.aclose()

    async def _make(self, name: str) -> Prober:
        built_in = self._built_in.get(name)
        if built_in is None:
            return await asyncio.to_thread(_brought, name)
        try:
            await asyncio.to_thread(import_module, f"{__package__}.{name}")
        except ModuleNotFoundError as error:
            if name not in _EXTRAS:
                raise
            raise NoProber(str(MissingExtra(*_EXTRAS[name]))) from error
        return built_in()

    def _http(self) -> Prober:
        from .http import HTTPProber

        return HTTPProber(self._resolver, self._trust)

    def _tcp(self) -> Prober:
        from .tcp import TCPProber

        return TCPProber(self._resolver, self._trust)

    def _grpc(self) -> Prober:
        from .grpc import GRPCProber

        return GRPCProber(self._resolver, self._trust)

    def _script(self) -> Prober:
        from .script import ScriptProber

        return ScriptProber(self._environ, also=self._settings.script_environment)


def _brought(name: str) -> Prober:
    found = tuple(entry_points(group=GROUP, name=name))
    if not found:
        raise NoProber(
            f'this registry has no checks of the kind "{name}";'
            f' install a package that brings it (an entry point of the group "{GROUP}")'
        )
    try:
        prober = found[0].load()()
    except Exception as error:  # whatever it is, one kind of check is missing
        raise NoProber(f'the kind of check "{name}" ({found[0].value}) cannot be used: {error}') from error
    if not isinstance(prober, Prober):
        raise NoProber(f'the kind of check "{name}" ({found[0].value}) cannot be used: it has no method "probe"')
    return prober


def _kind(name: str, prober: Prober) -> Kind:
    if isinstance(prober, SpeakingProber):
        return Kind(prober, prober.timed_out)

    def timed_out(definition: CheckDefinition, so_far: str) -> str:
        text = f"{name} check: timed out after {format_duration(definition.timeout)}"
        return f"{text}\n\n{so_far}" if so_far else text

    return Kind(prober, timed_out)
