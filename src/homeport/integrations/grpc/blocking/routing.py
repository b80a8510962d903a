"""How a call finds its instance: chosen for each call, again elsewhere if it was never sent, or may be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar
from weakref import ref

import grpc

from homeport.blocking import Watch
from homeport.client.call import Call
from homeport.client.resilience.attempts import Attempts
from homeport.integrations.grpc.obstacles import Unreachable
from homeport.integrations.grpc.outcome import note, was_never_sent

from .subchannels import Subchannels

Response = TypeVar("Response")
Made = TypeVar("Made", bound=grpc.Call)

Send: TypeAlias = Callable[[grpc.Channel, float | None], tuple[Response, grpc.Call]]
"""Makes a call on a connection, with so many seconds left for it, and waits for its response."""
Start: TypeAlias = Callable[[grpc.Channel, float | None], Made]
"""Begins a call on a connection, with so many seconds left for it."""


@dataclass(frozen=True, slots=True)
class _Answer(Generic[Response]):
    response: Response
    call: grpc.Call


class _UnavailableError(Exception):
    """A call that was sent failed with UNAVAILABLE."""

    def __init__(self, error: grpc.RpcError) -> None:
        super().__init__()
        self.error = error


class _NeverSentError(_UnavailableError, Unreachable):
    """A call failed with UNAVAILABLE before there was a connection to send it on."""


def performed(
    watch: Watch,
    subchannels: Subchannels,
    send: Send[Response],
    *,
    key: str | None,
    idempotent: bool,
    timeout: float | None,
    wait: bool,
) -> tuple[Response, grpc.Call]:
    """The response to a call with one request, and the call.

    ``timeout`` bounds all attempts together, in seconds. With ``wait`` it is an error of its own that nobody could be
    connected to, since somebody may be later; otherwise that is the outcome of the call.

    Raises:
        grpc.RpcError: the outcome of the call.
        Unreachable: see ``wait``.
        HomeportError: there is no instance, or no time.
    """

    def work(chosen: Call) -> _Answer[Response] | grpc.RpcError:
        with subchannels.use(chosen.instance) as subchannel:
            try:
                response, call = send(subchannel.channel, chosen.remaining)
            except grpc.RpcError as error:
                note(chosen, error.code())
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    never_sent = was_never_sent(error.code(), error.details())
                    raise (_NeverSentError if never_sent else _UnavailableError)(error) from error
                return error
            return _Answer(response, call)

    try:
        outcome = watch.perform(work, key=key, idempotent=idempotent, deadline=timeout)
    except _NeverSentError as failure:
        if wait:
            raise
        raise failure.error from None
    except _UnavailableError as failure:
        raise failure.error from None
    if isinstance(outcome, grpc.RpcError):
        raise outcome
    return outcome.response, outcome.call


def placed(attempts: Attempts, subchannels: Subchannels, start: Start[Made], *, wait: bool) -> Made:
    """A call with a stream of requests or responses, begun on an instance whose connection stands.

    Raises:
        Unreachable: no instance could be connected to, and it is to wait for one that can.
        HomeportError: there is no instance, or no time.
    """
    while True:
        with ExitStack() as stack:
            chosen = stack.enter_context(attempts.next())
            subchannel = stack.enter_context(subchannels.use(chosen.instance))
            try:
                connected = subchannel.connect(attempts.remaining)
            except TimeoutError:
                raise attempts.exceeded() from None  # counts against the instance: it did not answer in time
            pause = None if connected else attempts.pause(error=Unreachable(), sent=False)
            if connected or (pause is None and not wait):
                # Where this was the last attempt, gRPC itself says why there is no connection.
                call = start(subchannel.channel, attempts.remaining)
                end = _End(chosen, ref(call), stack.pop_all())
                if not call.add_callback(end):
                    end()
                return call
            chosen.observe(succeeded=False)
        if pause is None:
            raise Unreachable
        if pause:
            time.sleep(pause)


@dataclass(frozen=True, slots=True)
class _End:
    """Notes how a call ended; gRPC calls it then.

    It holds no reference to the call, which would keep one that nobody reads any more from being cancelled.
    """

    chosen: Call
    call: ref[grpc.Call]
    kept: ExitStack

    def __call__(self) -> None:
        call = self.call()
        note(self.chosen, grpc.StatusCode.CANCELLED if call is None else call.code())
        self.kept.close()
