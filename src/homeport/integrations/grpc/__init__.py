"""gRPC channels whose calls go to the instances of a service."""

from __future__ import annotations

from homeport.errors import MissingExtra

try:
    from .opening import discovery_channel
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "grpc":
        raise
    raise MissingExtra("homeport.integrations.grpc", "grpc") from error

__all__ = ["discovery_channel"]
