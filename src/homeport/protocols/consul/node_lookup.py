"""Finding a node by what a client calls it: its name, or the beginning of its id."""

from __future__ import annotations

from homeport.registry.catalog import Catalog

_SHORTEST_PREFIX = 2
_HEXADECIMAL = frozenset("0123456789abcdef")


def node_name(catalog: Catalog, asked: str) -> str:
    """The name of the node that is meant, or ``asked`` itself when there is none.

    A name wins over an id. Of an id an even number of digits counts, hyphens do not; it must belong to one node only.
    """
    if catalog.node(asked) is not None or len(asked) < _SHORTEST_PREFIX:
        return asked
    digits = asked[: len(asked) // 2 * 2].lower().replace("-", "")
    if not digits or len(digits) % 2 or not _HEXADECIMAL.issuperset(digits):
        return asked
    found = [
        entry.value.name
        for entry in catalog.image.group(("node",)).values()
        if entry.value.id.replace("-", "").lower().startswith(digits)
    ]
    return found[0] if len(found) == 1 else asked
