"""One TCP or TLS connection to the first of several addresses that answers, and what to say when none does."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence

from .prober import NotProbed, Result
from .targets import TargetRefused

_STAGGER = 0.25  # seconds before the next address is tried beside the one before (RFC 8305, section 5)
OWN_LIMITS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
"""Errors that lie in this process or host and say nothing about a target."""


async def connect(
    protocol: Callable[[], asyncio.Protocol], addresses: Sequence[str], port: int, *,
    tls: ssl.SSLContext | None = None, server_name: str = "",
) -> asyncio.Transport:  # fmt: skip
    """Connect to the addresses in their order, each a little after the one before, and keep the first that answers.

    Raises:
        OSError: none answered; the error is that of the first that failed.
    """
    loop = asyncio.get_running_loop()
    errors: list[OSError] = []
    attempts: set[asyncio.Task[asyncio.Transport]] = set()

    async def attempt(address: str) -> asyncio.Transport:
        transport, _ = await loop.create_connection(
            protocol, address, port, ssl=tls, server_hostname=server_name if tls is not None else None
        )
        return transport

    if len(addresses) == 1:
        return await attempt(addresses[0])
    try:
        for address in addresses:
            attempts.add(asyncio.create_task(attempt(address)))
            winner = await _first(attempts, errors, timeout=_STAGGER)
            if winner is not None:
                return winner
        winner = await _first(attempts, errors, timeout=None)
        if winner is not None:
            return winner
        raise errors[0]
    finally:
        await _abandon(attempts)


async def _first(
    attempts: set[asyncio.Task[asyncio.Transport]], errors: list[OSError], *, timeout: float | None
) -> asyncio.Transport | None:
    """The first success; None when all that run have failed, or the time is over. Who failed leaves ``attempts``."""
    while attempts:
        done, _ = await asyncio.wait(attempts, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return None
        for finished in done:
            attempts.discard(finished)
            try:
                return finished.result()
            except OSError as error:
                errors.append(error)
    return None


async def _abandon(attempts: set[asyncio.Task[asyncio.Transport]]) -> None:
    for attempt in attempts:
        attempt.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(outcome, asyncio.Transport):
            outcome.abort()


def failure(subject: str, error: OSError) -> Result:
    """The critical result of a check that could not connect, or lost its connection.

    Raises:
        NotProbed: the reason is a limit of this process or host.
    """
    if error.errno in OWN_LIMITS:
        raise NotProbed(os.strerror(error.errno).lower()) from error
    if isinstance(error, TargetRefused):
        return Result("critical", f"{subject}: {error}", "refused")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Result("critical", f"{subject}: the certificate is not accepted: {error.verify_message}", "tls")
    if isinstance(error, ssl.SSLError):
        return Result(
            "critical", f"{subject}: TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}", "tls"
        )
    if isinstance(error, socket.gaierror):
        return Result(
            "critical", f"{subject}: the name cannot be looked up: {(error.strerror or '').lower()}", "lookup"
        )
    words = os.strerror(error.errno).lower() if error.errno else str(error) or type(error).__name__
    return Result("critical", f"{subject}: {words}", "connect")
