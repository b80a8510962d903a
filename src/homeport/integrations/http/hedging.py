"""A request that is made a second time, on another instance, while the first one is still without an answer."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

from .exchange import Exchange
from .routing import HTTPRequest

ResponseT = TypeVar("ResponseT")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_NEVER_DOUBLED = ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade")


def patience_for(request: HTTPRequest, exchange: Exchange) -> float | None:
    """After how many seconds without a response a request is made a second time; None if never.

    That is for requests that may be under way twice at the same time: they only read (RFC 9110, 9.2.1; a PUT that was
    overtaken might arrive after the next one), have no body, and do not open a connection of another protocol.
    """
    patience = exchange.patience
    if patience is None or request.method not in _SAFE_METHODS:
        return None
    return None if any(name in request.headers for name in _NEVER_DOUBLED) else patience


class Sender(Protocol[ResponseT]):
    """How a library sends one request to several instances."""

    async def send(self, exchange: Exchange) -> ResponseT:
        """Begin the exchange, and return when the response has begun."""
        ...

    def status(self, response: ResponseT) -> int:
        """The status of a response."""
        ...

    def ended(self, exchange: Exchange, error: BaseException) -> None:
        """Record an exchange that ended without a response."""
        ...

    async def discard(self, response: ResponseT) -> None:
        """Close a response that nobody wants."""
        ...


async def first_response(exchange: Exchange, sender: Sender[ResponseT], *, patience: float) -> ResponseT:
    """The first response of two attempts, of which the second begins when there is none after ``patience`` seconds.

    A status that is worth another attempt counts only if the other attempt brings nothing better. ``exchange`` is the
    one of the response afterwards. The other attempt is cancelled, and over when this returns.

    Raises:
        Exception: what the first attempt raised, if both failed.
    """
    legs = [_Leg(exchange, sender)]
    try:
        await asyncio.wait([legs[0].task], timeout=patience)
        second = None if legs[0].task.done() else exchange.second()
        if second is not None:
            legs.append(_Leg(second, sender))
        winner = await _first_good(legs)
        if winner is not None:
            await _end([leg for leg in legs if leg is not winner], overtaken=True)
    except BaseException:
        try:
            # aiohttp's total time-out cancels the attempts too: they tell by themselves how they ended.
            await asyncio.sleep(0)
        finally:
            await _end(legs, overtaken=False)
        raise
    if winner is None:
        return await legs[0].task  # which failed
    if winner.exchange is not exchange:
        exchange.adopt(winner.exchange)
    return await winner.task


class _Leg(Generic[ResponseT]):
    """One of the attempts."""

    def __init__(self, exchange: Exchange, sender: Sender[ResponseT]) -> None:
        self.exchange = exchange
        self._sender = sender
        # Each in a context of its own, where its span is the current one.
        self.task = asyncio.get_running_loop().create_task(self._run(), name="homeport hedged request")

    @property
    def answered(self) -> bool:
        """Whether there is a response."""
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None

    @property
    def good(self) -> bool:
        """Whether there is a response than which the other attempt can bring no better one."""
        return self.answered and not self.exchange.is_retriable(self._sender.status(self.task.result()))

    def give_up(self, *, overtaken: bool) -> None:
        """Cancel it, because the other one was faster or nobody waits any more."""
        if not self.task.done():
            if overtaken:
                self.exchange.overtaken()
            self.task.cancel()

    async def discard(self) -> None:
        """Close its response, if there is one."""
        if self.answered:
            response = self.task.result()
            self.exchange.observe(self._sender.status(response))
            self.exchange.complete()
            await self._sender.discard(response)

    async def _run(self) -> ResponseT:
        try:
            return await self._sender.send(self.exchange)
        except BaseException as error:
            self._sender.ended(self.exchange, error)
            raise


async def _first_good(legs: list[_Leg[ResponseT]]) -> _Leg[ResponseT] | None:
    """The first with a good response; the first with any, if none is good; None if all failed."""
    waiting = {leg.task for leg in legs}
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        good = next((leg for leg in legs if leg.task in done and leg.good), None)
        if good is not None:
            return good
    return next((leg for leg in legs if leg.answered), None)


async def _end(legs: list[_Leg[ResponseT]], *, overtaken: bool) -> None:
    """Give these up, and return when nothing of them goes on."""
    for leg in legs:
        leg.give_up(overtaken=overtaken)
    await asyncio.gather(*(leg.task for leg in legs), return_exceptions=True)
    for leg in legs:
        await leg.discard()
