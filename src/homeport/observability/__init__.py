"""What the library does, told to Prometheus or OpenTelemetry."""

from __future__ import annotations

from .combination import combined

__all__ = ["combined"]
