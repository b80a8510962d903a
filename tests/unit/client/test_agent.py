"""Following the definitions of a folder."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from homeport.client.agent import Agent, Report
from homeport.client.configuration.configuration import Configuration
from homeport.client.configured import ConfiguredDiscovery
from homeport.client.definitions.following import FollowedFiles
from homeport.client.definitions.variables import variables
from homeport.errors import SettingsError
from tests.unit.client.scripted_backend import ScriptedBackend
from tests.unit.client.virtual_time import now, run


def write(path: Path, name: str = "api", **fields: object) -> Path:
    """A definition, in a file whose time differs from that before."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    keys = "".join(f"\n  {key}: {value}" for key, value in {"name": name, "id": name, "port": 1, **fields}.items())
    path.write_text(f"service_definition:{keys}\n", encoding="utf-8")
    later(path, before)
    return path


def later(path: Path, before: int) -> None:
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def told(report: Report) -> list[tuple[str, str]]:
    return [(change.done, change.service.id) for change in report.changes]


@asynccontextmanager
async def following(backend: ScriptedBackend, *paths: Path) -> AsyncIterator[Agent]:
    known = variables({"version": "2"}, environ={}, of_process=False)
    async with ConfiguredDiscovery(Configuration(backend=backend), handle_signals=False, clock=now) as discovery:
        yield Agent(discovery, paths, known=known, ttl=15.0)


def test_what_comes_changes_and_goes(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with following(backend, tmp_path) as agent:
            assert await agent.look() == Report()
            api = write(tmp_path / "api.yaml")
            assert told(await agent.look()) == [("registered", "api")]
            assert agent.size == 1
            assert await agent.look() == Report()
            write(api, port=2)
            assert told(await agent.look()) == [("updated", "api")]
            assert backend.registered["api"][0].port == 2
            write(tmp_path / "web.yml", "web")
            api.unlink()
            assert told(await agent.look()) == [("deregistered", "api"), ("registered", "web")]
            assert told(await agent.leave()) == [("deregistered", "web")]

    run(main())


def test_a_broken_file_keeps_what_it_said_and_is_told_once(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with following(backend, tmp_path) as agent:
            api = write(tmp_path / "api.yaml")
            await agent.look()
            for port in ("nonsense", "70000"):
                write(api, port=port)
                report = await agent.look()
                assert report.changes == ()
                (problem,) = report.problems
                assert problem.startswith(f"{api}: service_definition.port is ")
                assert await agent.look() == Report()
                assert (await agent.look(again=True)).problems == ()
            assert backend.registered["api"][0].port == 1
            write(api, port=3)
            assert told(await agent.look()) == [("updated", "api")]

    run(main())


def test_a_file_that_is_broken_from_the_start_is_told_and_the_others_are_registered(tmp_path: Path) -> None:
    async def main() -> None:
        async with following(ScriptedBackend(), tmp_path) as agent:
            broken = write(tmp_path / "a.yaml", port="[")
            write(tmp_path / "b.yaml", "b")
            report = await agent.look()
            assert told(report) == [("registered", "b")]
            assert [one.startswith(f"{broken}: line ") for one in report.problems] == [True]

    run(main())


def test_one_id_in_two_files_is_told_and_the_first_counts(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with following(backend, tmp_path) as agent:
            first, second = write(tmp_path / "a.yaml"), write(tmp_path / "b.yaml", port=2)
            report = await agent.look()
            assert report.problems == (
                (
                    f'{second}: service_definition has the id "api", as {first}: service_definition has; only that is '
                    "registered"
                ),
            )
            assert backend.registered["api"][0].port == 1
            assert await agent.look() == Report()
            first.unlink()
            assert told(await agent.look()) == [("updated", "api")]
            assert backend.registered["api"][0].port == 2

    run(main())


def test_without_an_id_it_is_known_by_name_address_and_port(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with following(backend, tmp_path) as agent:
            path = tmp_path / "d.yaml"
            path.write_text("services: [{name: a, port: 1}, {name: a, port: 2, address: h}]", encoding="utf-8")
            assert told(await agent.look()) == [("registered", "a-10.9.9.9-1"), ("registered", "a-h-2")]
            assert await agent.look(again=True) == Report()

    run(main())


def test_a_backend_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with following(backend, tmp_path) as agent:
            write(tmp_path / "a.yaml", "a", address='"{{ .host_ip }}"')
            write(tmp_path / "b.yaml", "b", address="10.0.0.1")
            backend.fail()
            report = await agent.look()
            assert report.pending
            assert [(change.service.id, change.error is None) for change in report.changes] == [("b", False)]
            backend.recover()
            report = await agent.look()
            assert not report.pending
            assert sorted(told(report)) == [("registered", "a"), ("registered", "b")]
            assert backend.registered["a"][0].address == backend.address

    run(main())


class TestFiles:
    def test_a_named_settings_file_may_have_other_sections_one_in_a_folder_may_not(self, tmp_path: Path) -> None:
        file = tmp_path / "homeport.yaml"
        file.write_text("client: {}\nservices: [{name: a}]\n", encoding="utf-8")
        ((_, found),) = FollowedFiles([file]).look()
        assert isinstance(found, list)
        assert len(found) == 1
        ((_, refused),) = FollowedFiles([tmp_path]).look()
        assert isinstance(refused, SettingsError)
        assert str(refused) == f"{file}: client is not a setting"

    def test_a_folder_that_cannot_be_read_takes_nothing_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = FollowedFiles([tmp_path])
        path = write(tmp_path / "a.yaml")
        assert [one for one, _ in files.look()] == [path]

        def fail(_: Path) -> object:
            raise PermissionError(13, "Permission denied")

        for _ in range(2):
            with monkeypatch.context() as patched:
                patched.setattr(Path, "iterdir", fail)
                ((folder, trouble),) = files.look()
                assert (folder, str(trouble)) == (tmp_path, f"{tmp_path}: it cannot be read: Permission denied")
                assert files.look() == []
            assert files.look() == [(tmp_path, [])]
        path.unlink()
        assert files.look() == [(path, None)]

    def test_a_file_replaced_by_another_of_the_same_time_and_size_is_seen(self, tmp_path: Path) -> None:
        files = FollowedFiles([tmp_path])
        path = write(tmp_path / "a.yaml", "a")
        files.look()
        other = write(tmp_path / "new", "b")
        status = path.stat()
        os.utime(other, ns=(status.st_mtime_ns, status.st_mtime_ns))
        other.rename(path)
        assert [one for one, _ in files.look()] == [path]


def test_its_end_takes_everything_along(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with following(backend, tmp_path) as agent:
            write(tmp_path / "a.yaml")
            await agent.look()
            await asyncio.sleep(30)
            assert backend.registered
        assert not backend.registered

    run(main())
