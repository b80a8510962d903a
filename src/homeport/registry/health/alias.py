"""Alias checks: the status of another service, or of a node, as one's own.

They are told of every change of a check they depend on, and look by themselves now and then. What an alias says is
decided inside of the transaction that writes it, so that aliases of each other come to rest.
"""

from __future__ import annotations

from collections.abc import Callable

from homeport.model import Status
from homeport.wire import golang

from ..records import NODES, SERVICES, CheckDefinition, CheckRecord
from ..registry import SERF_HEALTH
from ..store.transaction import Transaction
from .agenda import Agenda
from .live import ALIAS, LiveCheck

_Target = tuple[str, str]


def judge(transaction: Transaction, alias: CheckRecord) -> tuple[Status, str]:
    """The status and output of an alias check: the worst of its target's checks and of those of the target's node.

    The words are those of Consul's agent. A missing target is critical, one without checks passes.
    """
    node, service = _names(alias)
    if service and transaction.get(SERVICES, node, service) is None:
        return "critical", f"Service {service} could not be found on node {node}"
    if not service and transaction.get(NODES, node) is None:
        return "critical", f"Node {node} could not be found"
    checks = _target_checks(transaction, alias, node, service)
    for status in ("critical", "warning"):
        for check in checks:
            if check.status == status:
                return check.status, _because(check)
    return "passing", "All checks passing." if checks else "No checks found."


class Aliases:
    """The alias checks by what they follow. ``settle`` has one judged and written.

    Each looks by itself after half to one and a half of ``refresh_interval``; ``random`` gives numbers in [0, 1).
    """

    def __init__(
        self, agenda: Agenda, *, refresh_interval: float, random: Callable[[], float],
        settle: Callable[[LiveCheck], object],
    ) -> None:  # fmt: skip
        self._agenda = agenda
        self._refresh_interval = refresh_interval
        self._random = random
        self._settle = settle
        self._followers: dict[_Target, dict[LiveCheck, None]] = {}

    def add(self, live: LiveCheck) -> None:
        """Follow the target of an alias from now on."""
        for target in _targets(live.record):
            self._followers.setdefault(target, {})[live] = None
        self._refresh(live)

    def remove(self, live: LiveCheck) -> None:
        """Follow it no longer."""
        for target in _targets(live.record):
            followers = self._followers.get(target)
            if followers is not None:
                followers.pop(live, None)
                if not followers:
                    del self._followers[target]

    def changed(self, node: str, service_id: str) -> None:
        """Something changed with an instance or its checks or, when the id is empty, with a node or its own checks."""
        for live in self._followers.get((node.lower(), service_id.lower()), ()):
            self._settle(live)

    def _refresh(self, live: LiveCheck) -> None:
        if live.alive:
            self._settle(live)
            wait = self._refresh_interval * (0.5 + self._random())
            self._agenda.at(self._agenda.now() + wait, self._refresh, live)


def _target_checks(transaction: Transaction, alias: CheckRecord, node: str, service: str) -> list[CheckRecord]:
    found = transaction.scan(("chk", node.lower(), ""))
    if service:
        found += transaction.scan(("chk", node.lower(), service.lower()))
    left_out = {(alias.node.lower(), alias.id.lower())}
    if not _definition(alias).alias_node:
        left_out.add(
            (node.lower(), SERF_HEALTH.lower())
        )  # the cluster's view of an agent, which that agent's aliases do not see
    checks: list[CheckRecord] = [entry.value for entry in found]
    return sorted((check for check in checks if (check.node.lower(), check.id.lower()) not in left_out), key=_by_id)


def _because(check: CheckRecord) -> str:
    # An alias of an alias gives the reason of that one: wrapping it again would let a circle of aliases grow for ever.
    if check.definition is not None and check.definition.kind == ALIAS and check.output:
        return check.output
    return f"Aliased check {golang.quote(check.name)} failing: {check.output}"


def _definition(alias: CheckRecord) -> CheckDefinition:
    assert alias.definition is not None
    return alias.definition


def _names(alias: CheckRecord) -> tuple[str, str]:
    definition = _definition(alias)
    return definition.alias_node or alias.node, definition.alias_service


def _targets(alias: CheckRecord) -> tuple[_Target, ...]:
    node, service = _names(alias)
    of_node = (node.lower(), "")
    return (of_node, (node.lower(), service.lower())) if service else (of_node,)


def _by_id(check: CheckRecord) -> str:
    return check.id.lower()
