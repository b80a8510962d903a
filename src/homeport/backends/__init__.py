"""What Homeport can talk to: one package a system. `open_backend` finds the one that is meant."""

from __future__ import annotations

from .opening import BackendFactory, backend_names, default_backend, open_backend, open_backends

__all__ = ["BackendFactory", "backend_names", "default_backend", "open_backend", "open_backends"]
