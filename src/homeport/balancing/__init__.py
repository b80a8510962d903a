"""Which instance takes the next call: one policy a file. Policies see memory only; nothing here waits."""

from __future__ import annotations

from .balancer import Balancer, BalancerFactory, Picker, balancer_names, open_balancer
from .loads import Load, Loads, LoadTable
from .options import Options

__all__ = [
    "Balancer",
    "BalancerFactory",
    "Load",
    "LoadTable",
    "Loads",
    "Options",
    "Picker",
    "balancer_names",
    "open_balancer",
]
