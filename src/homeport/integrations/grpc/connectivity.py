"""The state of a channel that consists of many connections."""

from __future__ import annotations

from collections.abc import Collection

from grpc import ChannelConnectivity

_BEST_FIRST = (
    ChannelConnectivity.READY,
    ChannelConnectivity.CONNECTING,
    ChannelConnectivity.IDLE,
    ChannelConnectivity.TRANSIENT_FAILURE,
)


def combined(states: Collection[ChannelConnectivity]) -> ChannelConnectivity:
    """The best of the states of the connections, as gRPC's own round robin tells it; IDLE if there are none."""
    return next((state for state in _BEST_FIRST if state in states), ChannelConnectivity.IDLE)
