"""Transactions on what is mirrored from other systems.

Everything of a source stands on a node of its own. Its `SourceRecord` names the one owner that may write there: every
transaction compares it, so that an owner that was replaced cannot write any more, whatever it still believes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .catalog import Catalog
from .checks import put_check, remove_check
from .nodes import put_node, remove_node
from .records import CHECKS, NODES, SERVICES, SOURCES, CheckRecord, NodeRecord, ServiceRecord, SourceRecord
from .services import deregister
from .store.transaction import Refusal, Transaction

MIRRORED = "source"
"""The `CheckRecord.origin` of the checks that are mirrored, and the type of the one that describes the source."""
PATH = "homeport-source"
"""The metadata key of the path that a mirrored row has come: stores and systems, the origin first, by spaces."""
SOURCE_CHECK = "homeport-source"
"""The id of the check on a source's node that says how far to trust what is on it. It always passes."""
_CONFLICT = 409


class Row(msgspec.Struct, frozen=True, gc=False):
    """A mirrored instance with all of its checks."""

    service: ServiceRecord
    checks: tuple[CheckRecord, ...] = ()

    @property
    def operations(self) -> int:
        """How many writes it takes at most: itself, and each check with its history."""
        return 1 + 2 * len(self.checks)


class Owner(msgspec.Struct, frozen=True):
    """Who writes on the node of a source: ``token`` is unique to one run of one server."""

    node: str
    token: str


class OwnerReplaced(Refusal):
    """Another owner has taken the source over; nothing was written."""


def claim(transaction: Transaction, owner: Owner, *, url: str, address: str, now: float) -> None:
    """Become the owner of a source, in place of any before, and make sure that its node is there.

    Raises:
        Refusal: the node exists already and is no source's.
    """
    known = transaction.get(SOURCES, owner.node)
    if known is None and transaction.get(NODES, owner.node) is not None:
        raise Refusal(
            f'the node "{owner.node}" exists already and is no source; give the source {url} another name, by name='
        )
    transaction.put(SOURCES, SourceRecord(node=owner.node, url=url, owner=owner.token))
    put_node(transaction, NodeRecord(name=owner.node, address=address, meta={PATH: url}))
    if known is None or known.url != url:
        describe(transaction, owner, f"mirrored from {url}", now=now)


def write(
    transaction: Transaction, owner: Owner, *, put: Sequence[Row] = (), remove: Sequence[str] = (), now: float
) -> None:
    """Write rows on the owner's node, and remove the instances with these ids; what is the same is no write.

    Checks of an instance that were mirrored and are not in its row any more go; those that somebody here gave it stay.

    Raises:
        OwnerReplaced: the owner is no longer the owner.
    """
    _must_own(transaction, owner)
    for service_id in remove:
        deregister(transaction, owner.node, service_id)
    for row in put:
        known = transaction.get(SERVICES, owner.node, row.service.id)
        transaction.put(SERVICES, row.service)
        if known is not None:  # what is new has no checks yet
            _remove_checks_but(transaction, row)
        for check in row.checks:
            put_check(transaction, check, now=now, keeps_state=False)


def _remove_checks_but(transaction: Transaction, row: Row) -> None:
    """Remove the mirrored checks of an instance that are not in its row."""
    node, wanted = row.service.node, {check.id.lower() for check in row.checks}
    for entry in transaction.scan(("chk", node.lower(), row.service.id.lower())):
        if entry.value.origin == MIRRORED and entry.value.id.lower() not in wanted:
            remove_check(transaction, node, entry.value.id)


def describe(transaction: Transaction, owner: Owner, text: str, *, now: float) -> None:
    """Say on the source's node how far its rows are to be trusted. It fails none of them.

    Raises:
        OwnerReplaced: the owner is no longer the owner.
    """
    _must_own(transaction, owner)
    check = CheckRecord(
        node=owner.node, id=SOURCE_CHECK, name="Source", status="passing", output=text, type=MIRRORED, origin=MIRRORED
    )
    put_check(transaction, check, now=now, keeps_state=False)


def give_up(transaction: Transaction, node: str) -> None:
    """Remove a source with its node and all on it."""
    remove_node(transaction, node)
    transaction.delete(SOURCES, node)


def refuse_writes_on(transaction: Transaction, node: str) -> None:
    """Let nobody but its owner write on the node of a source.

    Raises:
        Refusal: 409, it is a source's.
    """
    source = transaction.get(SOURCES, node)
    if source is not None:
        raise Refusal(
            f'the node "{source.node}" is mirrored from {source.url}; change it there, or take the source away',
            status=_CONFLICT,
        )


def origin_of(catalog: Catalog, some_id: str) -> str | None:
    """Where the instance or check with this id is mirrored from, None if there is no such."""
    for entry in catalog.image.group(("src",)).values():
        source: SourceRecord = entry.value
        entries = catalog.image.entries
        if SERVICES.key(source.node, some_id) in entries or CHECKS.key(source.node, some_id) in entries:
            return source.url
    return None


def refuse_mirrored(transaction: Transaction, service_id: str) -> None:
    """Let nobody add anything to an instance that is mirrored.

    Raises:
        Refusal: 409, the id is that of a mirrored instance.
    """
    for entry in transaction.scan(("src",)):
        if transaction.get(SERVICES, entry.value.node, service_id) is not None:
            raise mirrored_refusal(service_id, entry.value.url)


def mirrored_refusal(some_id: str, url: str) -> Refusal:
    """What to answer to a write on an instance or check that is mirrored from ``url``."""
    return Refusal(f'"{some_id}" is mirrored from {url}; change it there', status=_CONFLICT)


def _must_own(transaction: Transaction, owner: Owner) -> None:
    record = transaction.get(SOURCES, owner.node)
    if record is None or record.owner != owner.token:
        raise OwnerReplaced(f'the source "{owner.node}" has another owner now', status=_CONFLICT)
