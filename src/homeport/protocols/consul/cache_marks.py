"""What an answer to ``?cached`` says of itself.

Source: https://developer.hashicorp.com/consul/api-docs/features/caching. Consul's agent keeps such answers up to date
in the background. Here everything is in memory anyway, so a hit is as fresh as a miss, and its age is always 0.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

_MOST = 10_000


class CacheMarks:
    """Tells the first time that a question is asked from the later ones; forgets the longest unused of too many."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._asked: OrderedDict[Hashable, None] = OrderedDict()

    def headers(self, question: Hashable) -> Sequence[tuple[str, str]]:
        """The headers for an answer to ``question``, which counts as asked from now on."""
        if question in self._asked:
            self._asked.move_to_end(question)
            return (("X-Cache", "HIT"), ("Age", "0"))
        self._asked[question] = None
        if len(self._asked) > self._most:
            self._asked.popitem(last=False)
        return (("X-Cache", "MISS"),)
