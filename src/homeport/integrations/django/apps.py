"""The application that a project installs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from django.apps import AppConfig
from django.conf import settings
from django.core import mail

from homeport.blocking import Discovery
from homeport.errors import SettingsError
from homeport.integrations.serving.configuration import configuration


class HomeportConfig(AppConfig):
    """Gives a project a `homeport.blocking.Discovery`, and registers it while it serves.

    The setting ``HOMEPORT`` is a dictionary with the fields of
    `homeport.integrations.serving.configuration.ServingConfiguration`; without ``service`` the project only finds
    others. It is registered as soon as its process listens and has begun to be a WSGI or ASGI application, by a
    thread, so that nothing is registered by other commands, by the first of the two processes of ``runserver``, or in
    tests. Each worker process registers an instance of its own.
    """

    name = "homeport.integrations.django"
    label = "homeport"
    discovery: Discovery | None = None

    def ready(self) -> None:
        """Read the settings.

        Raises:
            SettingsError: a key is unknown, or a value of the wrong kind.
            InvalidValue: a value cannot be right.
        """
        values = getattr(settings, "HOMEPORT", {})
        if not isinstance(values, Mapping):
            raise SettingsError(f"the setting HOMEPORT is {values!r}; it must be a dictionary")
        configured = configuration(values, spelled=lambda key: f'HOMEPORT["{key}"]')
        self.discovery = configured.discovery()
        announcer = configured.announcer(self.discovery, environ=os.environ, serves=_serves)
        if announcer is not None:
            announcer.start()


def _serves() -> bool:
    """Whether a server has asked for the application: whoever else listens does not load these. Tests do not serve."""
    is_application = "django.core.wsgi" in sys.modules or "django.core.asgi" in sys.modules
    in_tests = hasattr(mail, "outbox")
    return is_application and not in_tests
