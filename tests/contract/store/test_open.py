"""What every store promises of opening, closing and losing everything."""

import asyncio
from pathlib import Path

import pytest

from homeport.registry.store.contract import Image, StoreDamaged, first_revision
from tests.contract.store.effects import node_key, node_put, service_put, services_of, write
from tests.contract.store.follower import Content, Follower
from tests.contract.store.places import PLACES, Place


async def test_a_new_store_is_empty_and_its_revision_is_already_an_index(place: Place) -> None:
    store, follower = place.store(), Follower()
    await store.open(follower)
    assert follower.resets == 1
    assert follower.image.revision >= 1
    assert not follower.image.entries
    (revision,) = await store.commit([write(node_put("a"))])
    assert revision > 0
    await store.aclose()


async def test_the_revision_never_goes_back_over_reopening(place: Place) -> None:
    revisions: list[int] = []
    for number in range(4):
        store, follower = place.store(), Follower()
        await store.open(follower)
        revisions.append(follower.image.revision)
        effects = [write(node_put("a", f"{number}")), write(node_put("b", f"{number}"))]
        for effect in effects:
            revisions.extend(await store.commit([effect]))
        revisions.extend(await store.commit([write(delete=(node_key("a"),))]))
        await store.aclose()
    assert revisions == sorted(revisions)
    assert len(set(revisions)) >= 4 * 3


async def test_the_revision_never_goes_back_over_a_wipe(place: Place) -> None:
    store, follower = place.store(), Follower()
    await store.open(follower)
    for number in range(5):
        await store.commit([write(node_put("a", f"{number}"))])
    await store.aclose()
    # A fast machine makes more commits in so short a life than the promise is for.
    while first_revision() <= follower.image.revision:  # noqa: ASYNC110 - a clock tells nobody
        await asyncio.sleep(0)
    place.wipe()

    anew, after = place.store(), Follower()
    await anew.open(after)
    assert not after.image.entries
    assert after.image.revision > follower.image.revision
    await anew.aclose()


async def test_closing_twice_and_closing_what_was_never_opened_is_harmless(place: Place) -> None:
    await place.store().aclose()
    store = place.store()
    await store.open(Follower())
    await store.aclose()
    await store.aclose()


async def test_a_store_that_could_not_be_opened_holds_nothing(place: Place) -> None:
    class Unwilling(Follower):
        async def reset(self, image: Image) -> None:
            raise StoreDamaged("this cannot be read")

    store, follower = place.store(), Follower()
    with pytest.raises(StoreDamaged, match="this cannot be read"):
        await store.open(Unwilling())
    await store.open(follower)
    await store.commit([write(node_put("a"))])
    assert set(follower.image.entries) == {node_key("a")}
    await store.aclose()


async def test_a_description_is_for_people(place: Place) -> None:
    description = place.store().description
    assert description
    assert "\n" not in description


@pytest.mark.parametrize("kind", PLACES)
def test_whatever_was_committed_is_what_is_read_again(kind: str, tmp_path: Path) -> None:
    """Every single step of a long history can be read again exactly as it was told."""
    place = PLACES[kind](tmp_path)

    async def history() -> list[Content]:
        told: list[Content] = []
        for number in range(12):
            store, follower = place.store(), Follower()
            await store.open(follower)
            if told:
                assert follower.content() == told[-1]
            node = f"n{number % 3}"
            await store.commit([write(service_put(node, f"s{number}"), service_put(node, "last", number))])
            if number % 4 == 3:
                await store.commit([write(service_put(node, "last", -number), clear=services_of(node))])
            if number % 5 == 4:
                await store.commit([write(node_put(node), delete=tuple(service_put(node, "last")))])
            told.append(follower.content())
            await store.aclose()
        return told

    assert len(asyncio.run(history())) == 12
