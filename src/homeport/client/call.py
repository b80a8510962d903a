"""One call of an instance: chosen, counted and timed."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from homeport.balancing.loads import Load, LoadTable
from homeport.errors import NotReady
from homeport.model import Instance


class Call:
    """A call that begins with ``with`` (or ``async with``) and ends with the block.

    A block that ends normally is a success, one that raises a failure; one that is cancelled is neither. It may be
    used once.
    """

    __slots__ = ("_began_at", "_choose", "_instance", "_key", "_load", "_status", "_table")

    _load: Load
    _began_at: float

    def __init__(self, choose: Callable[[str | None], Instance], table: LoadTable, key: str | None) -> None:
        self._choose = choose
        self._table = table
        self._key = key
        self._instance: Instance | None = None
        self._status: int | None = None

    @property
    def instance(self) -> Instance:
        """The instance to call.

        Raises:
            NotReady: the block has not begun.
        """
        if self._instance is None:
            raise NotReady("a call has an instance only inside its block: write `with watch.call() as call`")
        return self._instance

    def url(self, path: str = "/", *, scheme: str | None = None) -> str:
        """The URL of ``path`` on the chosen instance."""
        return self.instance.url(path, scheme=scheme)

    def observe(self, *, status: int) -> None:
        """Tell the HTTP status of the answer: 500 and above makes the call a failure."""
        self._status = status

    def __enter__(self) -> Self:
        """Choose.

        Raises:
            NoInstances: there is nothing to call.
        """
        if self._instance is not None:
            raise NotReady("a call may be used once; ask for a new one")
        instance = self._choose(self._key)
        self._load = self._table.of(instance.endpoint)
        self._began_at = self._table.begin(self._load)
        self._instance = instance
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            succeeded: bool | None = self._status is None or self._status < 500
        else:
            succeeded = False if issubclass(kind, Exception) else None
        self._table.end(self._load, self._began_at, succeeded=succeeded)

    async def __aenter__(self) -> Self:
        """As ``__enter__``; nothing is waited for."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
