"""The transitions that stand in the store with their checks, as rows of the longer history. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..catalog import Catalog
from ..records import HISTORY, CheckRecord, Entry, HistoryRecord, Transition
from ..store.memory_image import Change
from .history_file import PastTransition


def new_transitions(catalog: Catalog, change: Change) -> list[PastTransition]:
    """The transitions that one change of a `HistoryRecord` added, oldest first."""
    if change.after is None:
        return []
    record: HistoryRecord = change.after.value
    before = change.before.value.transitions if change.before is not None else ()
    check = catalog.check(record.node, record.check_id)
    added = _added(before, record.transitions)
    return [_past(record, transition, None if check is None else check.value) for transition in added]


def kept_in_store(catalog: Catalog, checks: Iterable[Entry]) -> Iterator[PastTransition]:
    """The transitions that the store keeps of these checks."""
    for entry in checks:
        check: CheckRecord = entry.value
        found = catalog.image.entries.get(HISTORY.key(check.node, check.id))
        if found is not None:
            for transition in found.value.transitions:
                yield _past(found.value, transition, check)


def identity(past: PastTransition) -> tuple[str, str, float, str]:
    """What makes two rows the same transition, wherever they come from."""
    return past.node.lower(), past.check_id.lower(), past.at, past.status


def _added(before: Sequence[Transition], after: Sequence[Transition]) -> Sequence[Transition]:
    """What stands in ``after`` behind the newest of ``before``; all, when that has already been pushed out."""
    if before:
        for position in range(len(after) - 1, -1, -1):
            if after[position] == before[-1]:
                return after[position + 1 :]
    return after


def _past(record: HistoryRecord, transition: Transition, check: CheckRecord | None) -> PastTransition:
    return PastTransition(
        node=record.node, check_id=record.check_id, service=check.service_name if check is not None else "",
        service_id=check.service_id if check is not None else "", at=transition.at, status=transition.status,
        output=transition.output,
    )  # fmt: skip
