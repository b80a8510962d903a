"""How a view gets at the `Discovery` of its project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeport.errors import NotReady

if TYPE_CHECKING:
    from homeport.blocking import Discovery


def discovery() -> Discovery:
    """The `homeport.blocking.Discovery` of the project; it may be used in asynchronous views by ``sync_to_async``.

    Raises:
        NotReady: ``homeport.integrations.django`` is not among the INSTALLED_APPS, or Django is not set up yet.
    """
    from django.apps import apps
    from django.core.exceptions import AppRegistryNotReady

    from .apps import HomeportConfig

    try:
        config = apps.get_app_config(HomeportConfig.label)
    except (LookupError, AppRegistryNotReady):
        config = None
    if not isinstance(config, HomeportConfig) or config.discovery is None:
        raise NotReady(
            'this project has no Discovery yet: add "homeport.integrations.django" to INSTALLED_APPS, '
            "and ask when Django is set up"
        )
    return config.discovery
