"""The sections of the settings file that each say how one kind of backend is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from homeport.errors import SettingsError
from homeport.settings import SettingsFile
from homeport.settings.shapes import Place, build, field_values
from homeport.spi import Backend

from . import consul_section, dns_section, etcd_section, kubernetes_section

S = TypeVar("S", bound=msgspec.Struct)


class BackendSection(Protocol):
    """What such a section can be asked."""

    def describes(self) -> bool:
        """Whether it says where the system is, so that this backend is meant where none is named."""
        ...

    def url(self, environ: Mapping[str, str]) -> str:
        """What the bare name of the backend stands for: that name, or a URL that the environment completes."""
        ...

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What it says in variables, as far as ``environ`` does not say it itself."""
        ...


class BackendSections:
    """All of them, read.

    Raises:
        SettingsError: a key is unknown, or a value cannot be right.
    """

    def __init__(self, file: SettingsFile) -> None:
        self.consul = section(file, consul_section.SECTION, consul_section.ConsulSection)
        self.etcd = section(file, etcd_section.SECTION, etcd_section.EtcdSection)
        self.kubernetes = section(file, kubernetes_section.SECTION, kubernetes_section.KubernetesSection)
        self.dns = section(file, dns_section.SECTION, dns_section.DNSSection)
        self._source = file.name
        self._by_scheme: dict[str, tuple[str, BackendSection]] = {
            "consul": (consul_section.SECTION, self.consul),
            "etcd": (etcd_section.SECTION, self.etcd),
            "kubernetes": (kubernetes_section.SECTION, self.kubernetes),
            "dns": (dns_section.SECTION, self.dns),
        }

    def meant(self) -> str | None:
        """The backend that is meant where none is named: the one that a section describes, None without any.

        Raises:
            SettingsError: several are described.
        """
        described = [(scheme, name) for scheme, (name, one) in self._by_scheme.items() if one.describes()]
        if len(described) > 1:
            names = [name for _, name in described]
            schemes = ", ".join(scheme for scheme, _ in described)
            raise SettingsError(
                f"{self._source}: {', '.join(names[:-1])} and {names[-1]} each describe a backend, and nothing says "
                f"which is meant; add backend: {described[0][0]}, or backend: [{schemes}], where each is the fallback "
                "of those before it"
            )
        return described[0][0] if described else None

    def name_of(self, scheme: str) -> str:
        """The section of that kind of backend."""
        return self._by_scheme[scheme][0]

    def completed(
        self, names: Sequence[str | Backend], environ: Mapping[str, str]
    ) -> tuple[list[str | Backend], Mapping[str, str]]:
        """These backends, each bare name as its section has it, and the environment to open them with.

        Raises:
            SettingsError: the environment contradicts a section, or lacks a variable that one names.
        """
        found: list[str | Backend] = []
        variables: dict[str, str] = {}
        known = {**environ, **self.consul.variables(environ)}  # where Consul is, its DNS is too
        for name in names:
            scheme = scheme_of(name, bare=True)
            if scheme not in self._by_scheme:
                found.append(name)
                continue
            one = self._by_scheme[scheme][1]
            try:
                url = one.url(known if one is self.dns else environ)
                variables |= one.variables(environ)
            except SettingsError as error:
                raise SettingsError(f"{self._source}: {error}") from None
            found.append(name if url == scheme else url)
        return found, {**environ, **variables} if variables else environ


def described_section(file: SettingsFile) -> str:
    """The section that describes the backend where none is named, "" when none does.

    Raises:
        SettingsError: several do, or one cannot be right.
    """
    sections = BackendSections(file)
    scheme = sections.meant()
    return sections.name_of(scheme) if scheme else ""


def stand_ins(file: SettingsFile) -> dict[str, str]:
    """An environment that has something for every variable that the sections demand, to check them without one.

    Raises:
        SettingsError: a section cannot be right.
    """
    etcd = section(file, etcd_section.SECTION, etcd_section.EtcdSection)
    return dict.fromkeys(etcd.named_variables(), "stand-in")


def scheme_of(backend: object, *, bare: bool = False) -> str:
    """The kind of a backend that is given by URL or name, "" for an object; only if it is no more than a name."""
    if not isinstance(backend, str):
        return ""
    scheme, _, rest = backend.strip().lower().partition("://")
    return "" if bare and rest else scheme


def section(file: SettingsFile, name: str, shape: type[S]) -> S:
    """A section of the file in its shape; its defaults when the file does not have it.

    Raises:
        SettingsError: a key is unknown, or a value cannot be right.
    """
    place = Place(file.name, name)
    made: S = build(shape, field_values(file.content.get(name), shape, place), place)
    return made
