"""An observer that remembers what it was told."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager


class Recording:
    """Keeps every call: (what, name, labels, value or outcome)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, str], object]] = []

    def operation(self, name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:
        return self._block(name, dict(labels))

    @contextmanager
    def _block(self, name: str, labels: dict[str, str]) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.told.append(("operation", name, labels, type(error).__name__))
            raise
        self.told.append(("operation", name, labels, None))

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        self.told.append(("count", name, dict(labels), amount))

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        self.told.append(("gauge", name, dict(labels), value))
