"""How a backend reaches its system: what somebody has to know who looks for the reason why it does not."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from .backend_url import HostPort
from .tls import TLS

Transport: TypeAlias = Literal["http", "dns"]


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Where a system answers, and as whom it is asked.

    ``tls`` None is without TLS. ``credentials`` says in a few words where they come from, never what they are ("the
    token in the file /run/token"); it is empty where none are given. Of ``transport`` ``dns`` nothing is connected
    before it is asked.
    """

    addresses: tuple[HostPort, ...] = ()
    tls: TLS | None = None
    credentials: str = ""
    transport: Transport = "http"


@runtime_checkable
class Accessible(Protocol):
    """A backend that tells; it may be left out, and is asked by ``homeport test-connection`` and its relatives."""

    @property
    def access(self) -> Access:
        """As the settings say; nothing is asked. May read files: call it outside the event loop.

        Raises:
            SettingsError: a file that the settings name cannot be used.
        """
        ...
