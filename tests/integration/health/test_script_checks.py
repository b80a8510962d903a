"""Script checks: real processes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from homeport.registry.health import HealthSettings
from tests.integration.health.engine import PATIENCE, Engine, real, virtual

SCRIPTS = HealthSettings(minimum_interval=0.01, enable_script_checks=True)


def script(engine: Engine, *words: str, **definition: Any) -> Any:
    return engine.check("s", kind="script", script=words, interval=3600.0, **definition)


async def run(
    *words: str, settings: HealthSettings = SCRIPTS, environ: dict[str, str] | None = None, **definition: Any
) -> tuple[str, str]:
    async with real(settings, environ=environ if environ is not None else dict(os.environ)) as engine:
        return await engine.result(script(engine, *words, **definition))


def is_alive(process: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def gone(*processes: int) -> None:
    """Wait for the end of processes that have been killed, of which some are not our children."""
    async with asyncio.timeout(PATIENCE):
        while any(map(is_alive, processes)):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("code", "status"), [(0, "passing"), (1, "warning"), (2, "critical"), (255, "critical")])
async def test_the_exit_code_decides(code: int, status: str) -> None:
    assert await run("/bin/sh", "-c", f"echo said; echo cried >&2; exit {code}") == (status, "said\ncried\n")


async def test_a_script_ended_by_a_signal_is_critical() -> None:
    assert (await run("/bin/sh", "-c", "kill -KILL $$"))[0] == "critical"


async def test_no_shell_reads_the_words() -> None:
    assert await run("/bin/echo", "$HOME", "a;b", "*") == ("passing", "$HOME a;b *\n")


async def test_a_long_output_keeps_its_end_and_says_so() -> None:
    status, output = await run("/bin/sh", "-c", "seq 1 3000", output_max_bytes=10)
    assert (status, output) == ("passing", "Captured 10 of 13893 bytes\n...\n2999\n3000\n")


async def test_a_program_that_cannot_be_run_is_critical(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no program")
    assert await run("/no/such/program") == ("critical", "/no/such/program cannot be run: no such file or directory")
    assert await run(str(file)) == ("critical", f"{file} cannot be run: permission denied")
    assert await run("/bin/echo", "a\0b") == ("critical", "'/bin/echo' cannot be run: a word holds a zero byte")


async def test_a_script_that_takes_too_long_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = f"echo before; sleep 600 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; sleep 600"
    async with virtual(SCRIPTS) as engine:
        await engine.register(script(engine, "/bin/sh", "-c", text, timeout=3.0))
        running = engine.run_soon("s")
        await engine.until_true(pids.exists)
        await engine.time.pass_(3.0)
        view = await running
    assert (view.status, view.output) == ("critical", "Timed out (3s) running check\n\nbefore\n")
    await gone(*(int(process) for process in pids.read_text().split()))


async def test_without_a_timeout_of_its_own_the_settings_decide() -> None:
    settings = HealthSettings(enable_script_checks=True, script_timeout=0.1)
    assert await run("/bin/sleep", "600", settings=settings) == ("critical", "Timed out (100ms) running check")


async def test_what_a_script_leaves_running_does_not_hold_it_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    status, output = await run("/bin/sh", "-c", f"echo done; sleep 600 & echo $! > {pid}", timeout=60.0)
    assert (status, output) == ("passing", "done\n")
    os.kill(int(pid.read_text()), 9)


async def test_a_script_sees_only_the_environment_that_it_may() -> None:
    environ = {**os.environ, "TZ": "UTC", "HOMEPORT_TOKEN": "secret", "MY_URL": "x"}
    program = ("/bin/sh", "-c", 'echo "$TZ|$HOMEPORT_TOKEN|$MY_URL"')
    assert (await run(*program, environ=environ))[1] == "UTC||\n"
    more = HealthSettings(enable_script_checks=True, script_environment=("MY_URL",))
    assert (await run(*program, environ=environ, settings=more))[1] == "UTC||x\n"


async def test_a_script_has_nothing_to_read() -> None:
    assert await run("/bin/cat") == ("passing", "")


@pytest.mark.parametrize("settings", [HealthSettings(), HealthSettings(enable_local_script_checks=True)])
async def test_scripts_are_not_run_unless_that_is_switched_on(settings: HealthSettings, tmp_path: Path) -> None:
    """A record may be in the store from a time when it was on; registering is refused elsewhere."""
    trace = tmp_path / "trace"
    status, output = await run("/bin/touch", str(trace), settings=settings)
    assert (status, output) == ("critical", "script checks are off in this registry (health.enable_script_checks)")
    assert not trace.exists()


async def test_only_so_many_scripts_run_at_a_time(tmp_path: Path) -> None:
    settings = HealthSettings(minimum_interval=0.01, enable_script_checks=True, running_scripts=2)
    async with real(settings) as engine:
        text = f"d=$(mktemp -d {tmp_path}/XXXXXX); ls {tmp_path} | wc -l; sleep 0.05; rmdir $d"
        names = [f"s{number}" for number in range(6)]
        await engine.register(
            *(engine.check(name, kind="script", script=("/bin/sh", "-c", text), interval=0.01) for name in names)
        )
        await engine.until(lambda: len({probed.check.id for probed in engine.probed}) == 6 and len(engine.probed) > 15)
        assert max(int(probed.result.output) for probed in engine.probed) <= 2


async def test_when_the_engine_ends_its_scripts_end(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 600"
    async with real(SCRIPTS) as engine:
        await engine.register(
            engine.check("s", kind="script", script=("/bin/sh", "-c", text), interval=0.01, timeout=600.0)
        )
        await engine.until_true(pid.exists)
        assert is_alive(int(pid.read_text()))
    await gone(int(pid.read_text()))
