"""From argument, environment and file to one typed value: argument > environment > file > default.

Each room declares its own settings as a msgspec Struct; nothing here knows them.
"""

from __future__ import annotations

from .duration import seconds
from .file import SettingsFile, find_file, read_file
from .loading import load, variables

__all__ = ["SettingsFile", "find_file", "load", "read_file", "seconds", "variables"]
