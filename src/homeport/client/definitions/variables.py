"""What can stand in the places of a service definition."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping

import msgspec

from homeport.connections.near_miss import did_you_mean
from homeport.errors import InvalidValue

HOST_IP = "host_ip"
PORT = "port"
_NAMES = ("instance_id", HOST_IP, "hostname", "version", "environment", PORT, "pid")
_FROM_ENVIRONMENT = {
    "instance_id": "HOMEPORT_INSTANCE_ID",
    "version": "HOMEPORT_VERSION",
    "environment": "HOMEPORT_ENVIRONMENT",
    PORT: "PORT",
}
_ENV = re.compile(r'env\s+"([^"]*)"\Z')
_NAME = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)\Z")
_PROCESS = os.urandom(4).hex()

# Values of the form that is expected wherever a place may stand, also as a port: for looking at a definition only.
_STAND_INS = {HOST_IP: "192.0.2.1", "version": "0.0.0", "environment": "environment", PORT: "1"}
_STAND_IN = "1"


class Variables(msgspec.Struct, frozen=True, kw_only=True):
    """The values for places: ``{{ .name }}`` is one of ``values``, ``{{ env "NAME" }}`` one of ``environ``.

    With ``lenient`` what only the running program knows is stood in for, to look whether a definition is right.
    """

    values: Mapping[str, str]
    environ: Mapping[str, str]
    lenient: bool = False

    def __repr__(self) -> str:
        return f"<Variables {', '.join(self.values)}>"

    def value(self, asked: str) -> str:
        """The value of a place, by what stands between its braces.

        Raises:
            InvalidValue: it asks for something that there is not; the message names it, and what there is.
        """
        by_environment = _ENV.match(asked)
        if by_environment:
            return self._of_environment(by_environment[1])
        by_name = _NAME.match(asked)
        name = by_name[1] if by_name else ""
        if name in self.values:
            return self.values[name]
        if name in _NAMES and self.lenient:
            return _STAND_INS[name]
        if name in _NAMES:
            raise InvalidValue(f'"{{{{ {asked} }}}}" has no value; {_cure(name)}')
        known = sorted({*_NAMES, *self.values})
        meant = did_you_mean(name, known)
        raise InvalidValue(
            f'"{{{{ {asked} }}}}" stands for nothing; there are {", ".join(f".{one}" for one in known)} '
            f'and env "NAME"{"" if meant == "." else meant.replace("mean ", "mean .")}'
        )

    def having(self, **values: str) -> Variables:
        """These and more."""
        return msgspec.structs.replace(self, values={**self.values, **values})

    def _of_environment(self, name: str) -> str:
        value = self.environ.get(name)
        if value is None and self.lenient:
            return _STAND_IN
        if value is None:
            raise InvalidValue(f'"{{{{ env "{name}" }}}}" has no value: the environment variable {name} is not set')
        return value


def variables(
    values: Mapping[str, object] | None = None, *, environ: Mapping[str, str], of_process: bool, lenient: bool = False
) -> Variables:
    """The variables of this host and process, with ``values`` over them.

    ``instance_id`` is that of ``HOMEPORT_INSTANCE_ID``, else the name of the host, with ``of_process`` followed by a
    part that is unique to this process and stays the same while it lives: several processes of a host may register by
    one file then, while what registers by file from outside finds its own registration again.
    """
    hostname = socket.gethostname()
    own = {
        "hostname": hostname,
        "pid": str(os.getpid()),
        "instance_id": f"{hostname}-{_process()}" if of_process else hostname,
    }
    said = {name: text for name, variable in _FROM_ENVIRONMENT.items() if (text := environ.get(variable, "").strip())}
    given = {name: str(value) for name, value in (values or {}).items()}
    return Variables(values={**own, **said, **given}, environ=environ, lenient=lenient)


def _process() -> str:
    """What is unique to this process, also among those that were forked from one."""
    return f"{_PROCESS}-{os.getpid()}"


def _cure(name: str) -> str:
    given = f"give {name} (--set {name}=…, or values= in a program)"
    if name in _FROM_ENVIRONMENT:
        return f"set {_FROM_ENVIRONMENT[name]}, or {given}"
    return given
