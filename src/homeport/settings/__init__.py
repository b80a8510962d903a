"""From argument, environment and file to one typed value: argument > environment > file > default.

Each room declares its own settings as a msgspec Struct; nothing here knows them.
"""

from __future__ import annotations

from .duration import seconds
from .file import SettingsFile, find_file, read_file
from .loading import load, variables
from .problems import problems
from .yaml_file import lines, read_documents, read_text

__all__ = [
    "SettingsFile", "find_file", "lines", "load", "problems", "read_documents", "read_file", "read_text", "seconds",
    "variables",
]  # fmt: skip
