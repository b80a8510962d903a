"""Short ways to change what a registry holds."""

from homeport.model import Status
from homeport.registry import checks, nodes, services
from homeport.registry.records import CheckRecord, NodeRecord, ServiceRecord
from homeport.registry.registry import Registry


async def register(
    registry: Registry, name: str, service_id: str = "", *, node: str = "", port: int = 80, tags: tuple[str, ...] = (),
    status: Status | None = None,
) -> int:  # fmt: skip
    """Register an instance, with a check of that status if one is given; the revision."""
    service_id = service_id or name
    node = node or registry.node
    service = ServiceRecord(node=node, id=service_id, name=name, port=port, tags=tags)
    own = (
        []
        if status is None
        else [
            CheckRecord(
                node=node,
                id=f"check-{service_id}",
                name="check",
                status=status,
                service_id=service_id,
                service_name=name,
            )
        ]
    )
    outcome = await registry.transact(lambda tx: services.register(tx, service, own, replaces_checks=False, now=1.0))
    return outcome.revision


async def deregister(registry: Registry, service_id: str, *, node: str = "") -> int:
    """Remove an instance; the revision."""
    outcome = await registry.transact(lambda tx: services.deregister(tx, node or registry.node, service_id))
    return outcome.revision


async def put_node(registry: Registry, name: str, address: str = "10.0.0.1") -> int:
    """Put a node; the revision."""
    record = NodeRecord(name=name, address=address)
    return (await registry.transact(lambda tx: nodes.put_node(tx, record))).revision


async def remove_node(registry: Registry, name: str) -> int:
    """Remove a node with everything on it; the revision."""
    return (await registry.transact(lambda tx: nodes.remove_node(tx, name))).revision


async def set_status(registry: Registry, check_id: str, status: Status, *, node: str = "", output: str = "") -> int:
    """Set the status of a check; the revision."""
    outcome = await registry.transact(
        lambda tx: checks.set_status(tx, node or registry.node, check_id, status, output, now=2.0)
    )
    return outcome.revision
