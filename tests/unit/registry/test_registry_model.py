"""Random transactions: the store, the image and the catalog agree with a dictionary, and topics move by the book.

The book is what the Consul reference says of wake-ups, written here a second time, over whole contents instead of
changes.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.registry.catalog import Catalog
from homeport.registry.checks import remove_check, set_maintenance, set_status
from homeport.registry.nodes import put_node, remove_node
from homeport.registry.records import CheckRecord, Entry, NodeRecord, ServiceRecord
from homeport.registry.services import deregister, register
from homeport.registry.store.contract import Image, Limits
from homeport.registry.store.ledger import Ledger, Outcome
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.memory_image import Change, MemoryImage
from homeport.registry.store.transaction import Overlay, Refusal, Transaction
from homeport.registry.topics import Topic, Wakeups
from tests.contract.store.follower import Follower

NODES, NAMES, IDS, CHECK_IDS = ["n", "M"], ["web", "Web", "api"], ["1", "2", "x/y"], ["c", "C2", "d"]
STATUSES = ["passing", "warning", "critical"]
Content = dict[str, object]
Execute = Callable[[Transaction], object]


@st.composite
def transactions(draw: st.DrawFn) -> Execute:
    """One of the things that the protocols do."""
    node, service_id, check_id = (
        draw(st.sampled_from(NODES)),
        draw(st.sampled_from(IDS)),
        draw(st.sampled_from(CHECK_IDS)),
    )
    kind = draw(st.integers(0, 9))
    if kind <= 3:
        service = ServiceRecord(
            node=node, id=service_id, name=draw(st.sampled_from(NAMES)), port=draw(st.integers(0, 1)),
            tags=tuple(draw(st.lists(st.sampled_from("ab"), max_size=3))),
        )  # fmt: skip
        checks = [
            CheckRecord(node=node, id=f"{service_id}:{name}", service_id=service_id, service_name=service.name)
            for name in draw(st.lists(st.sampled_from(CHECK_IDS), max_size=2, unique=True))
        ]
        replaces = draw(st.booleans())
        return lambda t: register(t, service, checks, replaces_checks=replaces, now=1.0)
    if kind == 4:
        return lambda t: deregister(t, node, service_id)
    if kind == 5:
        record = NodeRecord(name=node, id=draw(st.sampled_from(["", "u1", "u2"])), address=draw(st.sampled_from("xy")))
        return lambda t: put_node(t, record)
    if kind == 6:
        return lambda t: remove_node(t, node)
    if kind == 7:
        status, output, which = draw(st.sampled_from(STATUSES)), draw(st.sampled_from("op")), f"{service_id}:{check_id}"
        return lambda t: set_status(t, node, which, status, output, now=2.0)  # type: ignore[arg-type]
    if kind == 8:
        enable, of = draw(st.booleans()), draw(st.sampled_from([None, service_id]))
        return lambda t: set_maintenance(t, node, of, enable=enable, reason="", now=3.0)
    return lambda t: remove_check(t, node, f"{service_id}:{check_id}")


def named(content: Content, shape: type[msgspec.Struct]) -> dict[str, object]:
    return {key: value for key, value in content.items() if type(value) is shape}


def differing(before: Content, after: Content, shape: type[msgspec.Struct]) -> list[object]:
    """All records of a shape that stand in only one of the two, in the form that they have there."""
    first, second = named(before, shape), named(after, shape)
    keys = {key for key in {**first, **second} if first.get(key) != second.get(key)}
    return [side[key] for key in keys for side in (first, second) if key in side]


def by_the_book(before: Content, after: Content) -> set[str]:
    """What a change from one content to another must move, and nothing else may."""
    moved: set[str] = set()
    carried = [value for content in (before, after) for value in content.values() if isinstance(value, ServiceRecord)]

    def on(node: str) -> list[str]:
        return [service.name.lower() for service in carried if service.node.lower() == node.lower()]

    for node in differing(before, after, NodeRecord):
        assert isinstance(node, NodeRecord)
        moved |= {"nodes", f"{node.name.lower()} node rows"}
        moved |= {f"{name} {part}" for name in on(node.name) for part in ("everything", "rows")}
    for service in differing(before, after, ServiceRecord):
        assert isinstance(service, ServiceRecord)
        moved |= {"services", f"{service.node.lower()} node rows"}
        moved |= {f"{service.name.lower()} {part}" for part in ("everything", "rows")}
    for check in differing(before, after, CheckRecord):
        assert isinstance(check, CheckRecord)
        moved |= {"checks", f"{check.status} state", f"{check.node.lower()} node checks"}
        if check.service_id:
            moved |= {f"{check.service_name.lower()} {part}" for part in ("everything", "checks")}
        else:
            moved |= {f"{name} everything" for name in on(check.node)}
    for key, service in named(after, ServiceRecord).items():
        assert isinstance(service, ServiceRecord)
        old = before.get(key)
        if isinstance(old, ServiceRecord) and old.tags != service.tags:  # rows of checks show them
            for check in checks_of(service, after):
                moved |= {"checks", f"{check.status} state", f"{check.node.lower()} node checks"}
                moved.add(f"{service.name.lower()} checks")
    first, second = ({record.name.lower() for record in services_in(content)} for content in (before, after))
    return moved | ({"extinction"} if first - second else set())


def checks_of(service: ServiceRecord, content: Content) -> list[CheckRecord]:
    found = [value for value in content.values() if isinstance(value, CheckRecord)]
    instance = (service.node.lower(), service.id.lower())
    return [check for check in found if (check.node.lower(), check.service_id.lower()) == instance]


def services_in(content: Content) -> list[ServiceRecord]:
    return [value for value in content.values() if isinstance(value, ServiceRecord)]


class Watched:
    """A ledger and its catalog; every commit is checked against the book as it is folded."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.ledger = Ledger(store, self._fold)
        self.catalog = Catalog(self.ledger.image, Wakeups())
        self.content: Content = {}
        self.commits = 0
        self._held: list[object] = []

    def _topics(self) -> dict[str, Topic]:
        catalog = self.catalog
        topics = {
            "nodes": catalog.nodes, "services": catalog.services, "checks": catalog.checks,
            "extinction": catalog.extinction, **{f"{status} state": catalog.state(status) for status in STATUSES},
        }  # fmt: skip
        for name in {name.lower() for name in NAMES}:
            service = catalog.service_index(name)
            topics |= {
                f"{name} everything": service.everything,
                f"{name} rows": service.rows,
                f"{name} checks": service.checks,
            }
            self._held.append(service)
        for name in {name.lower() for name in NODES}:
            node = catalog.node_index(name)
            topics |= {f"{name} node rows": node.rows, f"{name} node checks": node.checks}
            self._held.append(node)
        return topics

    def _fold(self, revision: int, changes: list[Change]) -> None:
        if self.commits and not changes:
            return
        before, seen = dict(self.content), {name: topic.revision for name, topic in self._topics().items()}
        for change in changes:
            if change.before is not None:
                assert self.content.pop(change.before.key) == change.before.value
            if change.after is not None:
                self.content[change.after.key] = change.after.value
        self.catalog.fold(revision, changes)
        self.commits += 1
        if self.commits == 1:
            return
        moved = {name for name, topic in self._topics().items() if topic.revision == revision}
        assert moved == by_the_book(before, self.content)
        for name, topic in self._topics().items():
            assert topic.revision == (revision if name in moved else seen[name])


def answers(catalog: Catalog) -> list[object]:
    """Everything that a catalog can be asked."""
    nodes, names = [*NODES, "absent"], [*NAMES, "absent"]
    return [
        catalog.node_entries(), catalog.service_names(), list(catalog.check_entries()), catalog.revision,
        *(catalog.node(name) for name in nodes), *(catalog.services_of(name) for name in nodes),
        *(catalog.checks_on(name) for name in nodes), *(catalog.node_checks(name) for name in nodes),
        *(catalog.instances(name) for name in names), *(catalog.tags(name) for name in names),
        *(catalog.service_index(name).present for name in names),
        *(catalog.service_index(name).name for name in names if catalog.instances(name)),
        *(sorted(catalog.node_index(name).names.items()) for name in nodes),
        *(catalog.service_checks(name, service_id) for name in nodes for service_id in IDS),
        *(catalog.service(name, service_id) for name in nodes for service_id in IDS),
    ]  # fmt: skip


def one_by_one(content: Content, execute: Execute) -> tuple[Content, object]:
    """What a transaction does when it is the only one there is."""
    image = MemoryImage()
    image.take_in([Change(None, Entry(key, value, 1, 1)) for key, value in content.items()], 1)
    overlay = Overlay(image)
    transaction = Transaction(overlay)
    try:
        result = execute(transaction)
    except Refusal as refusal:
        return content, str(refusal)
    transaction.finish()
    transaction.lay()
    after = {key: entry.value for key, entry in image.entries.items() if key not in overlay.changed}
    return after | {key: entry.value for key, entry in overlay.changed.items() if entry is not None}, result


@settings(max_examples=150)
@given(batches=st.lists(st.lists(transactions(), min_size=1, max_size=8), min_size=1, max_size=6), small=st.booleans())
def test_everything_agrees_whatever_happens(batches: Sequence[Sequence[Execute]], small: bool) -> None:
    async def main() -> None:
        store = MemoryStore()
        if small:
            store.limits = Limits(operations=3, shares_keys=False)
        watched = Watched(store)
        await watched.ledger.open()
        content: Content = {}
        for batch in batches:
            results = await asyncio.gather(
                *(watched.ledger.transact(execute) for execute in batch), return_exceptions=True
            )
            for execute, result in zip(batch, results, strict=True):
                content, expected = one_by_one(content, execute)
                assert (result.value if isinstance(result, Outcome) else str(result)) == expected
            assert watched.content == content
        await agrees(watched)

    asyncio.run(main())


async def agrees(watched: Watched) -> None:
    """A follower, an image and a catalog made anew from what is stored are what these have become."""
    follower = Follower()
    await watched.store.open(follower)
    entries = watched.ledger.image.entries
    assert {key: (e.value, e.created, e.modified) for key, e in entries.items()} == follower.content()
    anew = Catalog(follower.image, Wakeups())
    anew.fold(follower.image.revision, [Change(None, entry) for entry in follower.image.entries.values()])
    assert answers(anew) == answers(watched.catalog)


class Snapshot(Follower):
    """Takes the image that a store gives, and no more."""

    async def reset(self, image: Image) -> None:
        self.taken = image


@given(before=st.lists(transactions(), max_size=12), after=st.lists(transactions(), max_size=12))
def test_a_reset_leads_to_the_same_as_the_commits_it_stands_for(
    before: Sequence[Execute], after: Sequence[Execute]
) -> None:
    async def main() -> None:
        store = MemoryStore()
        following, lagging = Watched(store), Watched(store)
        for executes in (before, after):
            await following.ledger.open()
            for execute in executes:
                await asyncio.gather(following.ledger.transact(execute), return_exceptions=True)
            snapshot = Snapshot()
            await store.open(snapshot)
            await lagging.ledger.reset(snapshot.taken)
        assert lagging.content == following.content
        assert answers(lagging.catalog) == answers(following.catalog)

    asyncio.run(main())
