"""How a commit changes the image, and what it says that it changed."""

import msgspec
import pytest

from homeport.registry.records import Record
from homeport.registry.store.contract import Commit, Effect, Image, Put, Stored, StoreDamaged
from homeport.registry.store.memory_image import MemoryImage
from tests.contract.store.effects import node_key, node_put, service_put, services_of, write

Told = dict[str, tuple[str | None, str | None]]


def changed(image: MemoryImage, revision: int, effect: Effect) -> Told:
    """Apply; the address of each node, or the port of each instance, before and after."""

    def shown(record: Record) -> str:
        return str(getattr(record, "address", "") or getattr(record, "port", ""))

    told: Told = {}
    for change in image.apply(Commit(revision, effect)):
        entry = change.after or change.before
        assert entry is not None
        assert entry.key not in told, "one change a key"
        sides = (change.before, change.after)
        told[entry.key] = tuple(None if side is None else shown(side.value) for side in sides)  # type: ignore[assignment]
    return told


def test_each_key_that_changed_is_told_once() -> None:
    image = MemoryImage()
    assert changed(image, 5, write(node_put("a", "1"), node_put("b", "1"))) == {
        "node/a": (None, "1"), "node/b": (None, "1"),
    }  # fmt: skip
    effect = write(node_put("a", "2"), node_put("c", "2"), delete=(node_key("b"), node_key("absent")))
    assert changed(image, 6, effect) == {"node/a": ("1", "2"), "node/b": ("1", None), "node/c": (None, "2")}
    assert {key: (entry.created, entry.modified) for key, entry in image.entries.items()} == {
        "node/a": (5, 6), "node/c": (6, 6),
    }  # fmt: skip


def test_what_is_cleared_and_put_by_one_effect_is_told_as_one_change() -> None:
    image = MemoryImage()
    changed(image, 5, write(service_put("n", "a", 1), service_put("n", "b", 1), service_put("m", "a", 1)))
    told = changed(image, 6, write(service_put("n", "b", 2), service_put("n", "c", 2), clear=services_of("n")))
    assert told == {"svc/n/a": ("1", None), "svc/n/b": ("1", "2"), "svc/n/c": (None, "2")}
    assert image.entries["svc/n/b"].created == 5
    assert sorted(image.group(("svc", "n"))) == ["svc/n/b", "svc/n/c"]
    assert sorted(image.group(("name", "web"))) == ["svc/m/a", "svc/n/b", "svc/n/c"]


def test_a_group_is_gone_with_its_last_member() -> None:
    image = MemoryImage()
    changed(image, 5, write(service_put("n", "a"), node_put("n")))
    assert sorted(group for group in image.groups("svc")) == [("svc", "n")]
    changed(image, 6, write(delete=("svc/n/a",)))
    assert not list(image.groups("svc"))
    assert not image.group(("svc", "n"))
    assert list(image.groups("node")) == [("node",)]


def test_the_revision_never_goes_back() -> None:
    """Commits that share no key may be told in another order than that of their revisions."""
    image = MemoryImage()
    changed(image, 7, write(node_put("a")))
    changed(image, 6, write(node_put("b")))
    assert image.revision == 7
    assert image.entries["node/b"].modified == 6


def test_the_difference_to_an_image_is_what_leads_there_and_touches_nothing() -> None:
    image = MemoryImage()
    changed(image, 5, write(node_put("same"), node_put("other", "1"), node_put("gone")))
    entries = dict(image.entries)
    other = msgspec.json.encode({"name": "other", "address": "2"})
    there = [
        Stored("node/same", b"", 5, 5),
        Stored("node/other", other, 5, 6),
        Stored("node/new", b'{"name":"new"}', 7, 7),
    ]
    differences = list(image.differences(Image(9, there)))
    assert image.entries == entries
    assert image.revision == 5
    assert len(differences) == 3 + 3, "one for each record of either, so that whoever iterates can make pauses"
    image.take_in([change for change in differences if change is not None], 9)
    assert {key: (entry.created, entry.modified) for key, entry in image.entries.items()} == {
        "node/same": (5, 5), "node/other": (5, 6), "node/new": (7, 7),
    }  # fmt: skip
    assert image.entries["node/same"] is entries["node/same"]
    assert image.revision == 9


@pytest.mark.parametrize(
    "damaged",
    [
        Stored("node/a", b"{", 1, 1), Stored("node/a", b"[]", 1, 1), Stored("node/a", b'{"name":"\xff"}', 1, 1),
        Stored("nonsense", b"{}", 1, 1), Stored("node/a", b'{"name":"a"}', 1, None),  # type: ignore[arg-type]
        Stored(None, b'{"name":"a"}', 1, 1),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(damaged: Stored) -> None:
    with pytest.raises(StoreDamaged, match=str(damaged.key)):
        list(MemoryImage().differences(Image(1, [damaged])))


def test_a_field_that_a_later_version_added_is_no_damage() -> None:
    image = Image(1, [Stored("node/a", b'{"name":"a","colour":"red"}', 1, 1)])
    (change,) = MemoryImage().differences(image)
    assert change is not None
    assert change.after is not None
    assert change.after.value.name == "a"


def test_a_put_is_a_record_and_its_bytes() -> None:
    (put,) = node_put("a", "1").values()
    assert isinstance(put, Put)
    assert msgspec.json.decode(put.raw, type=type(put.value)) == put.value
