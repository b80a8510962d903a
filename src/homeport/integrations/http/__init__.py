"""What the integrations of the HTTP clients share: which requests go to a service, and how one such request is made."""

from __future__ import annotations

from .routing import Routing

__all__ = ["Routing"]
