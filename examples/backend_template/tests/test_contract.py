"""The scenarios that every backend has to pass."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from homeport import open_backend
from homeport.errors import SettingsError, Unsupported
from homeport.model import Service, TTLCheck
from homeport.spi import Backend, Discoverer, Registrar
from homeport.testing.contract import (
    COMPACT,
    CUT,
    FOLLOW_LIST,
    GARBAGE,
    HALF_OPEN,
    HEALTH,
    OUTAGE,
    ROTATE,
    SLOW,
    BackendContract,
    Harness,
)

NO_CONNECTION = "A folder is read from a disk, and no connection lies in between."


class FolderHarness(Harness):
    """A folder, and what can be done to it."""

    troubles: tuple[str, ...] = (OUTAGE, f"{GARBAGE}: not JSON", f"{GARBAGE}: other JSON", f"{GARBAGE}: half a file")
    restarts = True
    wipes = True
    cannot: Mapping[str, str] = {
        HEALTH: "A folder runs no checks and takes no reports.",
        FOLLOW_LIST: "It tells the list of services to who asks.",
        CUT: NO_CONNECTION,
        HALF_OPEN: NO_CONNECTION,
        SLOW: NO_CONNECTION,
        COMPACT: "It keeps no history to go on from: each reading is the whole set.",
        ROTATE: "A folder asks for no credentials.",
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def backend(self) -> Backend:
        return open_backend(f"folder://{self.folder}?interval=0.02", {})

    @asynccontextmanager
    async def trouble(self, kind: str) -> AsyncIterator[None]:
        if kind == OUTAGE:
            away = self.folder.rename(self.folder.with_name("away"))
            yield
            away.rename(self.folder)
            return
        content = {"not JSON": "<html>hi</html>", "other JSON": '{"hello": 1}', "half a file": '{"service": {"na'}
        broken = [folder / "broken.json" for folder in self.folder.iterdir() if folder.is_dir()]
        for path in broken:
            path.write_text(content[kind.removeprefix(f"{GARBAGE}: ")], encoding="utf-8")
        yield
        for path in broken:
            path.unlink()

    async def restart(self) -> None:
        async with self.trouble(OUTAGE):
            await asyncio.sleep(0.2)

    async def wipe(self) -> None:
        away = self.folder.rename(self.folder.with_name("away"))
        self.folder.mkdir()
        shutil.rmtree(away)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    made = tmp_path / "services"
    made.mkdir()
    return made


class TestFolder(BackendContract):
    """The suite."""

    @pytest.fixture
    def harness(self, folder: Path) -> Harness:
        """A folder of the test's own."""
        return FolderHarness(folder)


# What is this backend's own.


def test_a_url_that_cannot_be_right_is_refused() -> None:
    with pytest.raises(SettingsError, match="needs a path"):
        open_backend("folder://", {})
    with pytest.raises(SettingsError, match="intervall is not a parameter"):
        open_backend("folder:///tmp?intervall=1", {})
    assert open_backend("folder", {"HOMEPORT_FOLDER": "/srv"}).url == "folder:///srv"


@pytest.mark.asyncio
async def test_what_it_has_no_word_for_is_refused(folder: Path) -> None:
    backend = open_backend(f"folder://{folder}", {})
    assert isinstance(backend, Registrar)
    assert isinstance(backend, Discoverer)

    with pytest.raises(Unsupported, match="runs no health checks"):
        await backend.register(Service(name="api", id="api-1", checks=(TTLCheck(),)), ttl=None, incarnation="")
    with pytest.raises(Unsupported, match="no datacenters"):
        await backend.fetch("api", datacenter="dc2")


@pytest.mark.asyncio
async def test_names_lead_nowhere_else(folder: Path) -> None:

    backend = open_backend(f"folder://{folder}", {})
    assert isinstance(backend, Registrar)
    assert isinstance(backend, Discoverer)
    await backend.register(
        Service(name="../escape", id="../../x", address="10.0.0.1", port=1), ttl=None, incarnation=""
    )
    assert [one.id for one in (await backend.fetch("../escape")).instances] == ["../../x"]
    assert [path.name for path in folder.parent.iterdir()] == ["services"]
