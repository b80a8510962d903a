"""Django: a project that is registered while it serves, and finds others.

In the settings::

    INSTALLED_APPS = [..., "homeport.integrations.django"]
    HOMEPORT = {"service": "api", "backend": "homeport://127.0.0.1:8500"}

and in a view::

    from homeport.integrations.django import discovery

    url = discovery().resolve("billing").url("/invoices")
"""

from __future__ import annotations

from .access import discovery

__all__ = ["discovery"]
