"""What the status of a call says about the instance that answered it, and about making it again."""

from __future__ import annotations

import grpc

from homeport.client.call import Call

_FAILURES = frozenset({
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DATA_LOSS,
})  # fmt: skip

# What gRPC core writes when no connection came about (pick_first.cc, and dns_resolver.cc for a name without address).
# Were the words to change, such calls would count as sent, and only idempotent ones be made again.
_NEVER_CONNECTED = ("failed to connect to all addresses", "errors resolving ")


def note(call: Call, code: grpc.StatusCode) -> None:
    """Tell a call how it ended."""
    outcome = succeeded(code)
    if outcome is None:
        call.disregard()
    else:
        call.observe(succeeded=outcome)


def succeeded(code: grpc.StatusCode) -> bool | None:
    """Whether a status speaks for the instance; None if it says nothing (the caller gave up).

    Statuses such as NOT_FOUND or INVALID_ARGUMENT are answers of an instance that works.
    """
    if code is grpc.StatusCode.CANCELLED:
        return None
    return code not in _FAILURES


def was_never_sent(code: grpc.StatusCode, details: str | None) -> bool:
    """Whether a call failed before there was a connection to send it on."""
    return code is grpc.StatusCode.UNAVAILABLE and (details or "").startswith(_NEVER_CONNECTED)
