"""What a kind of check is: something that can be asked once, and answers with a status and an output."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

from homeport.model import Status

from ...records import CheckDefinition


class Result(msgspec.Struct, frozen=True, gc=False):
    """What one run of a check found.

    ``reason`` is one word for why it does not pass, for counting: ``timeout``, ``connect``, ``tls``, ``status``,
    ``body``, ``exit``, ``refused`` (by this registry's own settings), ``error``; a kind of your own may add words.
    """

    status: Status
    output: str
    reason: str = ""


@runtime_checkable
class Prober(Protocol):
    """One kind of check. The same object is asked for all checks of its kind, many at a time.

    A kind of your own comes as an entry point of the group ``homeport.checks``, named as the kind is: something that is
    called without arguments, in a thread of its own, and returns a prober.
    """

    async def probe(self, definition: CheckDefinition) -> Result:
        """Run the check once.

        In ``definition`` every default is filled in; what a kind of your own needs stands in ``definition.options``. It
        is cancelled when ``definition.timeout`` has passed, and must then leave nothing behind; the
        `asyncio.CancelledError` that leaves it may carry the output so far. Any other exception counts as critical.

        Raises:
            NotProbed: this process could not do its part; the check keeps its status.
        """
        ...


@runtime_checkable
class SpeakingProber(Prober, Protocol):
    """A prober that has words of its own for a run that took too long."""

    def timed_out(self, definition: CheckDefinition, so_far: str) -> str:
        """The output of such a run; ``so_far`` is what the cancelled `probe` gave, or empty."""
        ...


@runtime_checkable
class ClosableProber(Prober, Protocol):
    """A prober that holds something: it is closed when the health engine ends."""

    async def aclose(self) -> None:
        """Release everything."""
        ...


class NotProbed(Exception):
    """Nothing was found out, for a reason that lies in this process (file descriptors) and not in the target."""
