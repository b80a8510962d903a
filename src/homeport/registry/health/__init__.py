"""Executing checks, counting TTLs, and what follows from them."""

from __future__ import annotations

from .health import Health
from .settings import HealthSettings

__all__ = ["Health", "HealthSettings"]
