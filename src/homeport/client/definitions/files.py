"""Files and folders of service definitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from homeport.errors import SettingsError
from homeport.settings import read_documents
from homeport.settings.file import NOT_YET, SECTIONS
from homeport.settings.shapes import Place, unknown_key

from .definition import Definition

ONE = "service_definition"
SEVERAL = "services"
KEYS = (ONE, SEVERAL)
_OTHERS = frozenset({*SECTIONS, *NOT_YET} - {*KEYS})
_SUFFIXES = (".yaml", ".yml", ".json")


def is_settings(path: Path) -> bool:
    """Whether a file is one of settings: it has a section that no file of definitions has.

    Raises:
        SettingsError: it cannot be read, or is not YAML.
    """
    documents = read_documents(path)
    return any(isinstance(one, Mapping) and any(key in _OTHERS for key in one) for one in documents)


def read_definitions(path: Path, *, in_settings: bool = False) -> list[Definition]:
    """The definitions of a file: ``service_definition``, the list ``services``, or several documents with these.

    ``in_settings`` says that it is a file of settings, which has other sections too and needs no definition.

    Raises:
        SettingsError: it cannot be read, or has something else at its top.
    """
    documents = [one for one in read_documents(path) if one is not None]
    found: list[Definition] = []
    for number, content in enumerate(documents, 1):
        source = str(path) if len(documents) == 1 else f"{path}, document {number}"
        if not isinstance(content, Mapping):
            raise SettingsError(f'{source}: there must be a definition in it, such as "{ONE}:" with its keys below')
        for key in content:
            if key not in KEYS and not in_settings:
                raise unknown_key(source, "", str(key), known=KEYS)
        found += definitions_in(content, source)
    if not found and not in_settings:
        raise SettingsError(f'{path}: there is no definition in it; write "{ONE}:" with its keys below')
    return found


def definitions_in(content: Mapping[str, object], source: str) -> Iterator[Definition]:
    """The definitions in the content of a file, which ``source`` names.

    Raises:
        SettingsError: they are not what a definition looks like from outside; its inside is looked at later.
    """
    one, several = content.get(ONE), content.get(SEVERAL)
    if one is not None:
        yield _definition(one, Place(source, ONE))
    if several is None:
        return
    if not isinstance(several, list):
        raise Place(source, SEVERAL).wrong(several, "a list of definitions")
    for position, written in enumerate(several):
        yield _definition(written, Place(source, SEVERAL).item(position))


def definition_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold definitions, by name; hidden ones and folders are left out.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix in _SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        raise SettingsError(f"{folder}: it cannot be read: {error.strerror}") from error


def _definition(written: object, place: Place) -> Definition:
    if not isinstance(written, Mapping):
        raise place.wrong(written, "the keys of a definition below it")
    return Definition(written, place)
