"""Large answers are made one at a time, at most one a second, and shared."""

import asyncio

import pytest

from homeport.protocols.consul.large_answers import LargeAnswers
from homeport.protocols.consul.reads import HealthService, Selection
from tests.unit.client import virtual_time
from tests.unit.protocols_consul.reading import Reading, reading


class Counted(HealthService):
    """A read that tells when its making begins, and takes half a second."""

    begun: list[float]

    async def render_in_slices(self) -> bytes:
        self.begun.append(virtual_time.now())
        body = self.render()
        await asyncio.sleep(0.5)
        return body


def counted(api: Reading, begun: list[float], *, name: str = "web") -> Counted:
    read = Counted(api.registry.catalog, "dc1", name, Selection(), None)
    read.begun = begun
    return read


def test_all_who_ask_before_it_begins_share_one_answer() -> None:
    async def scenario() -> None:
        async with reading() as api:
            index, begun, large = await api.register("web-1", "web"), list[float](), LargeAnswers()
            answers = await asyncio.gather(*(large.make(counted(api, begun)) for _ in range(10)))
            assert len(begun) == 1
            assert {answer[0] for answer in answers} == {index}
            assert len({id(answer[1]) for answer in answers}) == 1

    virtual_time.run(scenario())


def test_who_asks_later_sees_what_was_written_meanwhile_a_second_after() -> None:
    async def scenario() -> None:
        async with reading() as api:
            await api.register("web-1", "web")
            begun, large = list[float](), LargeAnswers()
            first = asyncio.create_task(large.make(counted(api, begun)))
            await asyncio.sleep(0.1)
            revision = await api.register("web-2", "web")
            index, body = await large.make(counted(api, begun))
            assert index == revision
            assert b"web-2" in body
            assert b"web-2" not in (await first)[1]
            assert begun[1] - begun[0] == pytest.approx(1.0)

    virtual_time.run(scenario())


def test_different_questions_are_made_one_after_the_other() -> None:
    async def scenario() -> None:
        async with reading() as api:
            begun, large = list[float](), LargeAnswers()
            answers = await asyncio.gather(*(large.make(counted(api, begun, name=name)) for name in ("a", "b", "c")))
            assert len(answers) == 3
            assert [moment - begun[0] for moment in begun] == pytest.approx([0.0, 1.0, 2.0])

    virtual_time.run(scenario())


def test_one_who_goes_away_does_not_take_the_answer_from_the_others() -> None:
    async def scenario() -> None:
        async with reading() as api:
            await api.register("web-1", "web")
            begun, large = list[float](), LargeAnswers()
            impatient = asyncio.create_task(large.make(counted(api, begun)))
            patient = asyncio.create_task(large.make(counted(api, begun)))
            await asyncio.sleep(0.1)
            impatient.cancel()
            await asyncio.wait([impatient])
            assert b"web-1" in (await patient)[1]

    virtual_time.run(scenario())


def test_a_failure_reaches_all_who_wait_and_nobody_after() -> None:
    async def scenario() -> None:
        async with reading() as api:
            await api.register("web-1", "web")
            fails = True

            def keep(_row: object) -> bool:
                if fails:
                    raise ValueError("no")
                return True

            large = LargeAnswers()
            read = HealthService(api.registry.catalog, "dc1", "web", Selection(filter="x"), keep)
            outcomes = await asyncio.gather(large.make(read), large.make(read), return_exceptions=True)
            assert [str(outcome) for outcome in outcomes] == ["no", "no"]
            fails = False
            assert b"web-1" in (await large.make(read))[1]

    virtual_time.run(scenario())
