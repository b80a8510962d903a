"""What keeps a call from being made, and for how long to wait for that to change."""

from __future__ import annotations

import grpc

from homeport.errors import DeadlineExceeded, HomeportError

FIRST_PAUSE = 0.05
"""Seconds after which a call with ``wait_for_ready`` that could not be made is tried again; it doubles each time."""
LONGEST_PAUSE = 1.0


class Unreachable(ConnectionRefusedError):
    """No connection came about: the call was not sent."""

    def __str__(self) -> str:
        return "no instance could be connected to"


def status_of(error: HomeportError | Unreachable) -> grpc.StatusCode:
    """The status of a call that could not be made."""
    return grpc.StatusCode.DEADLINE_EXCEEDED if isinstance(error, DeadlineExceeded) else grpc.StatusCode.UNAVAILABLE


def no_time(service: str, timeout: float | None, obstacle: Exception | None) -> str:
    """Why a call was not made in time, in a sentence."""
    why = f": {obstacle}" if obstacle is not None else ""
    return f'no instance of "{service}" could be called within {timeout or 0.0:g} s{why}'
