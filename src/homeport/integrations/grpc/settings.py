"""What a channel was asked for, whichever kind it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from homeport.balancing.balancer import Balancer
from homeport.errors import InvalidValue

from .address import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """See `homeport.integrations.grpc.discovery_channel`, which says what they mean."""

    options: Options
    credentials: grpc.ChannelCredentials | None
    compression: grpc.Compression | None
    idempotent: Callable[[str], bool]
    key: str | None
    connect_timeout: float
    balancer: str | Balancer | None

    def __post_init__(self) -> None:
        if not self.connect_timeout > 0:
            raise InvalidValue(f"connect_timeout is {self.connect_timeout}; it must be above 0")
