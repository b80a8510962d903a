"""Any history of groups leaves in every store what it leaves in a dictionary."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.registry.records import table_of
from homeport.registry.store.contract import Effect, Store
from tests.contract.store.effects import node_key, node_put, service_put, services_of, write
from tests.contract.store.follower import Content, Follower
from tests.contract.store.places import PLACES

NODES = st.sampled_from(["a", "b", "b2"])
puts = st.one_of(
    st.builds(node_put, NODES, st.sampled_from("xyz")),
    st.builds(service_put, NODES, st.sampled_from(["1", "2", "3"]), st.integers(0, 2)),
)


@st.composite
def effects(draw: st.DrawFn) -> Effect:
    """An effect as a transaction would leave it: one operation a key, nothing deleted that is cleared."""
    chosen = draw(st.lists(puts, max_size=4))
    clear = services_of(draw(NODES)) if draw(st.integers(0, 4)) == 0 else {}
    put_keys = {key for put in chosen for key in put}
    deletes = {draw(NODES.map(node_key)) for _ in range(draw(st.integers(0, 1)))} - put_keys
    return write(*chosen, delete=tuple(deletes), clear=clear)


class Model:
    """The contract in a few lines."""

    def __init__(self) -> None:
        self.content: Content = {}

    def apply(self, effect: Effect, revision: int) -> None:
        cleared = tuple(effect.cleared)
        gone = {key for key in self.content if cleared and key.startswith(cleared)} | effect.deletes
        for key in gone - set(effect.puts):
            self.content.pop(key, None)
        for key, put in effect.puts.items():
            created = self.content[key][1] if key in self.content else revision
            self.content[key] = (put.value, created, revision)


async def live(kind: str, folder: Path, groups: list[list[Effect]]) -> None:
    place, model, follower = PLACES[kind](folder), Model(), Follower()
    store: Store = place.store()
    await store.open(follower)
    for group in groups:
        together = [group] if store.limits.shares_keys else [[effect] for effect in group]
        for part in together:
            for effect, revision in zip(part, await store.commit(part), strict=True):
                model.apply(effect, revision)
        assert follower.content() == model.content
        assert all(table_of(key).key_of(entry.value) == key for key, entry in follower.image.entries.items())
    await store.aclose()
    anew, reader = place.store(), Follower()
    await anew.open(reader)
    assert reader.content() == model.content
    await anew.aclose()


@pytest.mark.parametrize("kind", PLACES)
@settings(max_examples=40)
@given(groups=st.lists(st.lists(effects(), min_size=1, max_size=6), min_size=1, max_size=6))
def test_any_history_leaves_what_it_leaves_in_a_dictionary(kind: str, groups: list[list[Effect]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(kind, Path(folder), groups))
