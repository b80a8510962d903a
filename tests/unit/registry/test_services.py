"""Registering an instance again."""

import pytest

from homeport.registry import services
from homeport.registry.checks import FROM_FILE
from homeport.registry.records import CheckRecord, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.store.memory import MemoryStore


@pytest.mark.parametrize(
    ("replaces", "left"), [(True, {"of-file", "in-maintenance"}), (False, {"of-file", "in-maintenance", "own"})]
)
async def test_what_the_operator_gave_is_never_replaced(replaces: bool, left: set[str]) -> None:
    async with Registry(MemoryStore()) as registry:
        service = ServiceRecord(node=registry.node, id="api-1", name="api")
        checks = [
            CheckRecord(node=registry.node, id=check, type=kind, origin=origin, service_id="api-1", service_name="api")
            for check, kind, origin in (
                ("own", "ttl", ""),
                ("of-file", "http", FROM_FILE),
                ("in-maintenance", "maintenance", ""),
            )
        ]
        await registry.transact(lambda t: services.register(t, service, checks, replaces_checks=False, now=1.0))
        await registry.transact(lambda t: services.register(t, service, [], replaces_checks=replaces, now=2.0))
        assert {entry.value.id for entry in registry.catalog.service_checks(registry.node, "api-1")} == left
