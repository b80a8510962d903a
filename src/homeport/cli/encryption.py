"""How to say of a backend whether it speaks TLS."""

from __future__ import annotations

from typing import Literal

_BY_PARAMETER = frozenset(("homeport", "consul", "etcd", "eureka"))
"""The backends whose URLs say it by a parameter."""


def told_by(url: str, scheme: Literal["http", "https"]) -> str:
    """What to do so that the backend with that URL is spoken to by ``scheme``, as the end of a sentence."""
    kind = url.partition("://")[0]
    if kind in _BY_PARAMETER:
        return f"use {url}{'&' if '?' in url else '?'}scheme={scheme}"
    if kind == "kubernetes":
        return f"write {scheme}:// before its server in the kubeconfig"
    return f"name it as one of {scheme} in the backend URL"
