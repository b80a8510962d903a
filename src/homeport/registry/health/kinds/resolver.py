"""Names to addresses for all checks, without letting a slow name server hold up anything else.

The system's resolver blocks, and the pool of threads of an event loop is small and shared: a few names whose server
does not answer would stop all lookups of the process. Here a lookup has a thread of its own, which nothing waits for at
the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from .targets import Targets

_FRESH = 1.0  # seconds for which an answer is shared; a check sees a changed name at its next run
_MOST_THREADS = 64
_MOST_NAMES = 4096

Lookup = Callable[[str], Sequence[str]]
"""Name to addresses, in the order in which to try them; may block. Raises `OSError`."""


class _Answer:
    __slots__ = ("future", "until")

    def __init__(self, future: asyncio.Future[Sequence[str]]) -> None:
        self.future = future
        self.until = inf


class Resolver:
    """Addresses of names, accepted by ``targets``. Belongs to one event loop. ``lookup`` is called in threads."""

    def __init__(self, targets: Targets, *, monotonic: Callable[[], float], lookup: Lookup | None = None) -> None:
        self._targets = targets
        self._monotonic = monotonic
        self._lookup = lookup or system_lookup
        self._answers: dict[str, _Answer] = {}
        self._waiting: deque[tuple[str, _Answer]] = deque()
        self._running = 0

    async def addresses(self, host: str) -> Sequence[str]:
        """The accepted addresses of a host, in the order in which to try them; an address stands for itself.

        Raises:
            TargetRefused: the settings accept none of them.
            OSError: the name is not known, or the name server does not answer.
        """
        if _is_address(host):
            return self._targets.permitted((host,))
        answer = self._answers.get(host)
        if answer is None or answer.until <= self._monotonic():
            answer = self._ask(host)
        return self._targets.permitted(await asyncio.shield(answer.future))

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._answers)

    def _ask(self, host: str) -> _Answer:
        if len(self._answers) >= _MOST_NAMES:
            now = self._monotonic()
            self._answers = {name: kept for name, kept in self._answers.items() if kept.until > now}
        answer = self._answers[host] = _Answer(asyncio.get_running_loop().create_future())
        self._waiting.append((host, answer))
        self._start()
        return answer

    def _start(self) -> None:
        while self._waiting and self._running < _MOST_THREADS:
            host, answer = self._waiting.popleft()
            self._running += 1
            arguments = (host, answer, asyncio.get_running_loop())
            threading.Thread(target=self._run, args=arguments, name="homeport-lookup", daemon=True).start()

    def _run(self, host: str, answer: _Answer, loop: asyncio.AbstractEventLoop) -> None:
        addresses: Sequence[str] = ()
        error: OSError | None = None
        try:
            addresses = self._lookup(host)
        except OSError as caught:
            error = caught
        except UnicodeError:
            error = OSError(f'"{host}" is not a host name')
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._settle, answer, addresses, error)

    def _settle(self, answer: _Answer, addresses: Sequence[str], error: OSError | None) -> None:
        answer.until = self._monotonic() + _FRESH
        if error is None:
            answer.future.set_result(addresses)
        else:
            answer.future.set_exception(error)
            answer.future.exception()  # whoever asked may be gone, which is no error that nobody looked at
        self._running -= 1
        self._start()


def system_lookup(host: str) -> Sequence[str]:
    """What the operating system says, in its order (RFC 6724). Blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_address(host: str) -> bool:
    if ":" in host:
        return True
    if not host or not host[-1].isdigit():
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
