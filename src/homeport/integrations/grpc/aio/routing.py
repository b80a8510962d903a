"""How a call finds its instance: chosen for each call, again elsewhere if it was never sent, or may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeAlias, TypeVar, cast

import grpc
import grpc.aio

from homeport.client.call import Call
from homeport.client.resilience.attempts import Attempts
from homeport.client.watch import Watch
from homeport.integrations.grpc.obstacles import Unreachable
from homeport.integrations.grpc.outcome import note, was_never_sent

from .subchannels import Subchannels

Request = TypeVar("Request")
Response = TypeVar("Response")
Made = TypeVar("Made", bound=grpc.aio.Call)

Start: TypeAlias = Callable[[grpc.aio.Channel, float | None], Made]
"""Begins a call on a connection, with so many seconds left for it."""


class _UnavailableError(Exception):
    """A call that was sent failed with UNAVAILABLE."""

    def __init__(self, call: grpc.aio.Call) -> None:
        super().__init__()
        self.call = call


class _NeverSentError(_UnavailableError, Unreachable):
    """A call failed with UNAVAILABLE before there was a connection to send it on."""


async def performed(
    watch: Watch,
    subchannels: Subchannels,
    start: Start[grpc.aio.UnaryUnaryCall[Request, Response]],
    *,
    key: str | None,
    idempotent: bool,
    timeout: float | None,
    wait: bool,
) -> grpc.aio.UnaryUnaryCall[Request, Response]:
    """A call with one request and one response, which has ended.

    ``timeout`` bounds all attempts together, in seconds. With ``wait`` it is an error that nobody could be connected
    to, since somebody may be later; otherwise that is the outcome of the call.

    Raises:
        Unreachable: see ``wait``.
        HomeportError: there is no instance, or no time.
    """

    async def work(chosen: Call) -> grpc.aio.UnaryUnaryCall[Request, Response]:
        with subchannels.use(chosen.instance) as subchannel:
            call = start(subchannel.channel, chosen.remaining)
            try:
                await call  # gives the call up when this is cancelled
            except grpc.aio.AioRpcError as error:
                note(chosen, error.code())
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    never_sent = was_never_sent(error.code(), error.details())
                    raise (_NeverSentError if never_sent else _UnavailableError)(call) from error
            except Exception:  # noqa: BLE001 - a serializer's or an interceptor's: whoever awaits the call gets it
                chosen.disregard()
            return call

    try:
        return await watch.perform(work, key=key, idempotent=idempotent, deadline=timeout)
    except _NeverSentError as error:
        if wait:
            raise
        return cast("grpc.aio.UnaryUnaryCall[Request, Response]", error.call)
    except _UnavailableError as error:
        return cast("grpc.aio.UnaryUnaryCall[Request, Response]", error.call)


async def placed(attempts: Attempts, subchannels: Subchannels, start: Start[Made], *, wait: bool) -> Made:
    """A call with a stream of requests or responses, begun on an instance whose connection stands.

    Raises: see `performed`.
    """
    while True:
        with ExitStack() as stack:
            chosen = stack.enter_context(attempts.next())
            subchannel = stack.enter_context(subchannels.use(chosen.instance))
            try:
                async with asyncio.timeout(attempts.remaining):
                    connected = await subchannel.connect()
            except TimeoutError:
                raise attempts.exceeded() from None  # counts against the instance: it did not answer in time
            pause = None if connected else attempts.pause(error=Unreachable(), sent=False)
            if connected or (pause is None and not wait):
                # Where this was the last attempt, gRPC itself says why there is no connection.
                call = start(subchannel.channel, attempts.remaining)
                call.add_done_callback(_End(chosen, stack.pop_all()))
                return call
            chosen.observe(succeeded=False)
        if pause is None:
            raise Unreachable
        if pause:
            await asyncio.sleep(pause)


class _End:
    """Notes how a call ended: gRPC calls it when the last message was read, or nobody will read any more."""

    def __init__(self, chosen: Call, kept: ExitStack) -> None:
        self._chosen = chosen
        self._kept = kept

    def __call__(self, call: grpc.aio.Call) -> None:
        code = _code_of(call)
        if code is None:
            self._chosen.disregard()
        else:
            note(self._chosen, code)
        self._kept.close()


def _code_of(call: grpc.aio.Call) -> grpc.StatusCode | None:
    """The status of a call that has ended.

    It is there, so that its coroutine ends at the first step; a task for it might come too late, when the loop closes.
    """
    coroutine = call.code()
    try:
        coroutine.send(None)
    except StopIteration as end:
        code: grpc.StatusCode = end.value
        return code
    coroutine.close()
    return None
