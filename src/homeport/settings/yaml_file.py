"""Reading files of YAML strictly, and where in them something stands."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeport.errors import SettingsError

if TYPE_CHECKING:
    import yaml


_MOST_VALUES = 10_000_000
"""A file with more stands for something that nobody wrote: aliases of aliases of aliases ("a billion laughs")."""

_DEEPEST = 200
"""No file of people is nested that deeply; Python itself could follow about four times as far."""


def read_documents(path: Path) -> list[object]:
    """The documents of a YAML file, as plain data; an empty file has none.

    Raises:
        SettingsError: it cannot be read, is not YAML, or gives a key twice; the message names the file and the line.
    """
    import yaml

    text = read_text(path)
    try:
        documents = _documents(text)
        if _size(documents, (), {}) > _MOST_VALUES:
            raise SettingsError(f"{path}: its aliases (*) stand for more than {_MOST_VALUES} values; write them out")
        return documents
    except RecursionError as error:
        raise SettingsError(f"{path}: it is nested too deeply, or has an alias (*) that contains itself") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SettingsError(f"{path}: {place}{error.problem or 'it is not YAML'}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: it is not YAML: {' '.join(str(error).split())}") from error


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        SettingsError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: it is not text in UTF-8") from error


def lines(text: str) -> list[dict[str, int]]:
    """The line (from 1) of every key and item of each document, by its dotted name: ``services[0].port``.

    Text that is no YAML has none.
    """
    import yaml

    try:
        _refuse_depth(text)
        return [dict(_places(node, "", set())) for node in yaml.compose_all(text, Loader=yaml.SafeLoader)]
    except (yaml.YAMLError, RecursionError):
        return []


def _places(node: yaml.Node | None, above: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    """What an alias stands for is told once, at the first name: aliases of aliases would never end."""
    import yaml

    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{above}.{key.value}" if above else str(key.value)
            yield name, key.start_mark.line + 1
            yield from _places(value, name, seen)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            name = f"{above}[{position}]"
            yield name, item.start_mark.line + 1
            yield from _places(item, name, seen)


def _documents(text: str) -> list[object]:
    """Parsed by libyaml where there is one, which is several times as fast; what it refuses is PyYAML's to explain."""
    import yaml

    if hasattr(yaml, "CSafeLoader"):
        with contextlib.suppress(yaml.YAMLError):
            _refuse_depth(text)
            return list(yaml.load_all(text, Loader=_strict(yaml.CSafeLoader)))
    return list(yaml.load_all(text, Loader=_strict(yaml.SafeLoader)))


def _refuse_depth(text: str) -> None:
    """Look at the nesting before anything is built: libyaml recurses in C, and would end the process.

    Raises:
        RecursionError: there is too much of it.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise RecursionError
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _size(value: object, above: tuple[int, ...], known: dict[int, int]) -> int:
    """How many values there are when each alias is what it stands for; ``known`` are the sizes found so far.

    Raises:
        RecursionError: an alias contains itself.
    """
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not parts:
        return 1
    mine = id(value)
    if mine in above:
        raise RecursionError
    if mine not in known:
        known[mine] = 1 + sum(_size(part, (*above, mine), known) for part in parts)
    return known[mine]


@cache
def _strict(base: Any) -> Any:
    """A loader of plain data that refuses a key given twice, which YAML forbids (1.2.2, 3.2.1.1) and PyYAML allows."""
    import yaml

    class StrictLoader(base):  # type: ignore[misc]  # one of two that behave alike
        def construct_mapping(
            self,
            node: yaml.MappingNode,
            deep: bool = False,  # noqa: FBT001, FBT002 - PyYAML's signature
        ) -> dict[Hashable, Any]:
            seen: set[object] = set()
            for key_node, _ in node.value:
                if key_node.tag == "tag:yaml.org,2002:merge":
                    continue
                problem = ""
                if isinstance(key_node, yaml.MappingNode):
                    problem = 'a key must be a word; a text with "{{ … }}" has to stand in quotes'
                elif not isinstance(key_node, yaml.ScalarNode):
                    problem = "a key must be a word"
                elif key_node.value in seen:
                    problem = f"{key_node.value} is given twice"
                if problem:
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key_node.value)
            mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
            return mapping

    return StrictLoader
