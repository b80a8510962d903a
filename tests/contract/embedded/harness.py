"""What the contract suite needs of a registry in the process of the tests."""

from collections.abc import Mapping

from homeport.backends import open_backend
from homeport.server.embedded import EmbeddedBackend
from homeport.spi import Backend
from homeport.testing.contract import (
    COMPACT,
    CUT,
    FOLLOW_LIST,
    GARBAGE,
    HALF_OPEN,
    OUTAGE,
    RESTART,
    ROTATE,
    SLOW,
    WIPE,
    Harness,
)

_NO_NETWORK = "It runs in the process that asks it, and no network lies in between."
_NO_LIFE_APART = (
    "It lives as long as the process uses it; what others see when that ends is proved on a registry apart."
)


class EmbeddedHarness(Harness):
    """A registry in memory, which `aside` shares with the backends under test."""

    cannot: Mapping[str, str] = {
        **dict.fromkeys((OUTAGE, CUT, HALF_OPEN, SLOW, GARBAGE), _NO_NETWORK),
        **dict.fromkeys((RESTART, WIPE), _NO_LIFE_APART),
        FOLLOW_LIST: "It tells the list to who asks.",
        COMPACT: "It keeps no history to go on from: each answer is the whole set.",
        ROTATE: "It asks for no credentials yet.",
    }

    def __init__(self, url: str) -> None:
        self._url = url
        kept = self.backend()
        assert isinstance(kept, EmbeddedBackend)
        self._kept = kept
        self._kept.start()

    def backend(self) -> Backend:
        return open_backend(self._url, {})

    def close(self) -> None:
        """Let it end with its last user."""
        self._kept.stop()
