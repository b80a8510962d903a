"""The short way and the ordinary one give the same answers, to the byte, whatever happens to the registry."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.model import Status
from homeport.server.settings import Limits
from tests.unit.client import virtual_time
from tests.unit.server import changes
from tests.unit.server.answered import Answered
from tests.unit.server.line import Line, Switchboard, request, settled, switchboard

NAMES = ("web", "Web", "api", "nobody")
STATUSES: Sequence[Status] = ("passing", "warning", "critical")

PATHS = (
    *(f"/v1/health/service/{name}" for name in NAMES),
    *(f"/v1/catalog/service/{name}" for name in NAMES),
    "/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/services/x", "/v1/health/service/",
    "/v1/catalog/node/agent", "/v1/nothing",
)  # fmt: skip
PARAMETERS = (
    "passing", "passing=1", "passing=true", "passing=false", "passing=0", "passing=junk", "tag=a", "tag=A", "tag=b",
    "tag=", "stale", "stale=", "stale=1", "consistent", "index=0", "index=1", "index=-1", "index=x",
    "index=99999999999999999999", "wait=1s", "wait=0s", "wait=-1s", "wait=", "wait=1", "wait=x", "dc=dc1", "dc=dc9",
    "filter=", "near=agent", "pretty", "node-meta=a:b", "token=secret", "ns=x", "a=b", "",
)  # fmt: skip

targets = st.builds(
    lambda path, parameters: path + ("?" + "&".join(parameters) if parameters else ""),
    st.sampled_from(PATHS),
    st.lists(st.sampled_from(PARAMETERS), max_size=3),
)

header_sets = st.lists(
    st.sampled_from((
        ("Accept_Encoding", "gzip"), ("Accept_Encoding", "*"), ("Accept_Encoding", "gzip;q=0"),
        ("Accept_Encoding", "br, gzip;q=0.5"), ("Accept_Encoding", "gzip, gzip;q=0"), ("Connection", "keep-alive"),
        ("Connection", "close"), ("Connection", "upgrade"), ("Cache_Control", "no-cache"),
        ("Cache_Control", "max-age=x"), ("X_Consul_Token", "secret"), ("X_Consul_Namespace", "default"),
        ("X_Consul_Namespace", ""), ("X_Consul_Partition", "default"), ("User_Agent", "a client/1.0 (\xe4)"),
        ("Content_Length", "0"), ("Expect", "100-continue"), ("Expect", "miracles"), ("Host", "b"),
    )),
    max_size=2,
).map(dict)  # fmt: skip

mutations = st.one_of(
    st.tuples(st.just("register"), st.sampled_from(("web", "api")), st.sampled_from(("1", "2")), st.integers(0, 2)),
    st.tuples(st.just("deregister"), st.sampled_from(("web", "api")), st.sampled_from(("1", "2")), st.just(0)),
    st.tuples(st.just("status"), st.sampled_from(("web", "api")), st.sampled_from(("1", "2")), st.integers(0, 2)),
    st.tuples(st.just("node"), st.just(""), st.sampled_from(("agent2", "n3")), st.integers(0, 2)),
    st.tuples(st.just("remove node"), st.just(""), st.sampled_from(("agent2", "n3")), st.just(0)),
)


async def mutate(board: Switchboard, kind: str, name: str, which: str, number: int) -> None:
    registry = board.registry
    if kind == "register":
        # Ten instances make an answer large enough to be compressed.
        tags = (("a",), ("B", "a"), ())[number]
        node = "agent2" if number and registry.catalog.node("agent2") is not None else ""
        for instance in range(10 if which == "1" else 1):
            await changes.register(
                registry, name, f"{name}-{which}-{instance}", node=node, port=number, tags=tags, status=STATUSES[number]
            )
    elif kind == "deregister":
        for instance in range(10 if which == "1" else 1):
            await changes.deregister(registry, f"{name}-{which}-{instance}")
    elif kind == "status":
        check = f"check-{name}-{which}-0"
        if registry.catalog.check("agent", check) is not None:
            await changes.set_status(registry, check, STATUSES[number])
    elif kind == "node":
        await changes.put_node(registry, which, f"10.0.0.{number}")
    elif registry.catalog.node(which) is not None:
        await changes.remove_node(registry, which)


class Ordinary:
    """Asks for the same on a connection where nothing is hot: each request comes in two chunks."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def ask(self, target: str, **headers: str) -> Answered:
        data = request("GET", target, b"", **headers)
        self._line.send(data[:5])
        self._line.send(data[5:])
        return await self._line.answer()


@given(
    st.lists(st.booleans().flatmap(lambda asks: st.tuples(targets, header_sets) if asks else mutations), max_size=25),
)
@settings(max_examples=300)
def test_both_ways_answer_the_same(
    steps: list[tuple[str, str, str, int] | tuple[str, dict[str, str]]],
) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=1e6)) as board:
            for step in steps:
                if len(step) == 4:
                    await mutate(board, *step)
                    continue
                target, headers = step
                hot, ordinary = board.connect(), Ordinary(board.connect())
                for _ in range(2):  # the second time from what was kept
                    expected = await ordinary.ask(target, **headers)
                    assert await hot.ask(target, **headers) == expected
                    if expected.header("Connection") == "close":
                        break

    virtual_time.run(scenario())


def test_both_ways_answer_the_same_for_all_pairs_of_parameters() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=1e6)) as board:
            await mutate(board, "register", "web", "1", 0)
            await mutate(board, "status", "web", "1", 2)
            hot, ordinary = board.connect(), Ordinary(board.connect())
            for path in PATHS:
                for first in PARAMETERS:
                    for second in PARAMETERS:
                        target = f"{path}?{first}&{second}"
                        assert await hot.ask(target) == await ordinary.ask(target), target

    virtual_time.run(scenario())


@pytest.mark.parametrize("seed", range(20))
def test_both_ways_wake_at_the_same_changes(seed: int) -> None:
    """Two watchers of the same question, one on each way, see the same indexes and bodies, but for what is skipped."""

    async def scenario() -> None:
        rng = random.Random(seed)
        async with switchboard(Limits(idle_timeout=1e6)) as board:
            target = rng.choice((
                "/v1/health/service/web", "/v1/health/service/web?passing=1", "/v1/catalog/service/web?tag=a",
                "/v1/catalog/nodes", "/v1/catalog/services",
            ))  # fmt: skip
            ended = asyncio.Event()
            hot = asyncio.create_task(watch(board.connect().ask, target, ended))
            ordinary = asyncio.create_task(watch(Ordinary(board.connect()).ask, target, ended))
            for _ in range(60):
                kind = rng.choice(("register", "deregister", "status", "status", "node", "remove node"))
                which = rng.choice(("agent2", "n3") if "node" in kind else ("1", "2"))
                await mutate(board, kind, rng.choice(("web", "api")), which, rng.randrange(3))
                await asyncio.sleep(rng.choice((0, 0.001, 0.05)))
            ended.set()
            await asyncio.sleep(100)
            for seen in (await hot, await ordinary):
                indexes = [answer.index for answer in seen]
                assert indexes == sorted(indexes)
            assert (await hot)[-1] == (await ordinary)[-1] == await board.connect().ask(target)

    async def watch(ask: object, target: str, ended: asyncio.Event) -> list[Answered]:
        assert callable(ask)
        separator = "&" if "?" in target else "?"
        seen: list[Answered] = [await ask(target)]
        while True:
            last = ended.is_set()
            seen.append(await ask(f"{target}{separator}index={seen[-1].index}&wait=5s"))
            if last and seen[-1].index == seen[-2].index:
                return seen

    virtual_time.run(scenario())


def test_what_is_hot_in_these_tests() -> None:
    """The two ways are really two: the connection of `Ordinary` starts tasks, the other none."""

    async def scenario() -> None:
        async with switchboard() as board:
            await changes.register(board.registry, "web")
            hot, ordinary = board.connect(), board.connect()
            for target in (
                "/v1/health/service/web?passing=1&tag=a&stale", "/v1/catalog/service/web?index=1&wait=5s",
                "/v1/catalog/nodes?consistent=", "/v1/catalog/services",
            ):  # fmt: skip
                await hot.ask(target, Accept_Encoding="gzip", User_Agent="x", X_Consul_Token="t")
                await Ordinary(ordinary).ask(target)
            assert not hot.took_the_ordinary_way
            assert ordinary.took_the_ordinary_way

    virtual_time.run(scenario())


def test_a_large_answer_is_made_on_the_ordinary_way() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=1e6)) as board:
            line = board.connect()
            for number in range(2200):
                await changes.register(board.registry, "web", f"web-{number:04}")
            answer = await line.ask("/v1/health/service/web")
            assert len(answer.json) == 2200
            assert line.took_the_ordinary_way
            watcher = board.connect()
            watcher.get(f"/v1/health/service/web?index={answer.index}")
            await settled()
            assert watcher.took_the_ordinary_way
            index = await changes.register(board.registry, "web", "web-2200")
            answer = await watcher.answer()
            assert (answer.index, len(answer.json)) == (index, 2201)

    virtual_time.run(scenario())
