"""Which instance takes the next call: one policy a file. Policies see memory only; nothing here waits."""

from __future__ import annotations

from .balancer import Balancer, Picker, open_balancer
from .loads import Load, Loads, LoadTable

__all__ = ["Balancer", "Load", "LoadTable", "Loads", "Picker", "open_balancer"]
