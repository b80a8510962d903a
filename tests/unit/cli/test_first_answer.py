"""Several backends for a command that reads."""

import json
from pathlib import Path

import pytest

from homeport.cli import choosing, main
from homeport.cli.first_answer import FirstAnswer
from homeport.errors import BackendUnavailable, Unsupported
from homeport.spi import Discoverer
from tests.plugins.following import PATIENCE
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run


def pair() -> tuple[ScriptedBackend, ScriptedBackend]:
    one, two = ScriptedBackend(), ScriptedBackend()
    one.url, two.url = "scripted://one", "scripted://two"
    two.put("billing", instance("b"))
    return one, two


def test_the_first_that_answers_is_the_one_for_the_whole_command() -> None:
    async def main() -> None:
        one, two = pair()
        source = FirstAnswer([one, two], patience=2.5)
        assert isinstance(source, Discoverer)
        assert source.url == "scripted://one, scripted://two"
        one.fail()
        assert [each.name for each in await source.services()] == ["billing"]
        one.recover()
        assert len((await source.fetch("billing")).instances) == 1
        assert await source.ping() == {"product": "scripted"}
        assert (source.url, one.asked) == ("scripted://two", {"services": 1})
        await source.aclose()
        assert one.closed
        assert two.closed

    run(main())


def test_that_there_is_nothing_is_an_answer() -> None:
    async def main() -> None:
        one, two = pair()
        source = FirstAnswer([one, two], patience=2.5)
        assert (await source.fetch("billing")).instances == ()
        assert not two.asked

    run(main())


def test_a_silent_one_has_its_share_of_the_time_only() -> None:
    async def main() -> None:
        one, two = pair()
        one.latency = 100.0
        source = FirstAnswer([one, two], patience=2.5)
        begun = now()
        assert len((await source.fetch("billing")).instances) == 1
        assert now() - begun == 2.5

    run(main())


def test_when_none_answers_each_is_told() -> None:
    async def main() -> None:
        one, two = pair()
        one.latency = 100.0
        two.fail(BackendUnavailable("two is out.", backend=two.url))
        with pytest.raises(BackendUnavailable) as caught:
            await FirstAnswer([one, two], patience=2.5).services()
        assert str(caught.value) == "no backend answers: scripted://one did not answer within 2.5 s; two is out."

    run(main())


def test_it_is_not_for_watching() -> None:
    async def main() -> None:
        with pytest.raises(Unsupported):
            await anext(FirstAnswer(pair(), patience=1.0).watch("billing"))

    run(main())


@pytest.mark.parametrize("way", ["arguments", "environment", "file"])
def test_a_command_that_reads_takes_a_chain(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there.yaml"
    there.write_text("services: {billing: [h:1]}")
    chain = [f"static://{tmp_path}/absent.yaml", f"static://{there}"]
    arguments: list[str] = []
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("HOMEPORT_BACKEND", raising=False)
    monkeypatch.setattr(choosing, "READ_TIMEOUT", 2 * PATIENCE)
    if way == "arguments":
        arguments = ["--backend", chain[0], "--backend", chain[1]]
    elif way == "environment":
        monkeypatch.setenv("HOMEPORT_BACKEND", " ".join(chain))
    else:
        config = tmp_path / "h.yaml"
        config.write_text(json.dumps({"backend": chain}))
        arguments = ["--config", str(config)]
    assert main(["list", "--format", "json", *arguments]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["billing"]
    assert main(["find", "billing", "--format", "json", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)[0]["port"] == 1
    there.unlink()
    assert main(["list", *arguments]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"homeport: no backend answers: {tmp_path}/absent.yaml: there is no such file; {there}: ")
