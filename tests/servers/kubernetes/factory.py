"""Makes API servers for one test and ends them with it."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.kubernetes.api_server import ApiServer
from tests.servers.kubernetes.choice import make_server


class KubernetesFactory:
    """`kubernetes_factory()`: an API server of the test's own, started unless `start=False`."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._made: list[ApiServer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._made:
            self._made.pop().close()

    def __call__(self, *, start: bool = True) -> ApiServer:
        """Make a server of the kind that this run uses."""
        server = make_server(self._folder / str(len(self._made)), self._environ)
        self._made.append(server)
        if start:
            server.start()
        return server
