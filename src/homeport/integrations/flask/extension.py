"""The extension."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

from flask import Flask, current_app

from homeport.blocking import Discovery
from homeport.errors import InvalidValue, NotReady
from homeport.integrations.serving.configuration import configuration

_PREFIX = "HOMEPORT_"
_NAME = "homeport"


class Homeport:
    """Gives applications a `homeport.blocking.Discovery`, and registers them while they serve.

    Use it as ``Homeport(app)``, or with `init_app` where applications are made by a function. The configuration of the
    application says everything else: ``HOMEPORT_SERVICE`` is the name to be registered under (without it the
    application only finds others), and the further keys are the fields of
    `homeport.integrations.serving.configuration.ServingConfiguration` in capitals after ``HOMEPORT_``.

    It is registered as soon as its process listens, by a thread, so that nothing is registered in a shell, a command
    or the watcher of a reloader; and not while the application has ``TESTING`` set. Each worker process registers an
    instance of its own. ``discovery`` makes the `Discovery` where the configuration cannot say enough about it.
    """

    def __init__(self, app: Flask | None = None, *, discovery: Callable[[], Discovery] | None = None) -> None:
        self._make = discovery
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the configuration of ``app``; its `Discovery` is ``app.extensions["homeport"]`` then.

        Raises:
            SettingsError: a key is unknown, or a value of the wrong kind.
            InvalidValue: a value cannot be right, or the application has the extension already.
        """
        if _NAME in app.extensions:
            raise InvalidValue(f'the application "{app.name}" has Homeport already; call init_app once')
        configured = configuration(app.config.get_namespace(_PREFIX), spelled=lambda key: _PREFIX + key.upper())
        if self._make is not None and configured.given & {"backend", "balancer"}:
            raise InvalidValue(
                "both HOMEPORT_BACKEND or HOMEPORT_BALANCER and what makes a Discovery are given; give one"
            )
        found = configured.discovery() if self._make is None else self._make()
        app.extensions[_NAME] = found
        application = weakref.ref(app)

        def serves() -> bool:
            app = application()
            return app is not None and not app.testing

        announcer = configured.announcer(found, environ=os.environ, serves=serves)
        if announcer is not None:
            announcer.start()
            # An application that was made and thrown away, as tests do.
            weakref.finalize(app, announcer.stop).atexit = False


def discovery() -> Discovery:
    """The `Discovery` of the current application.

    Raises:
        NotReady: the application has no Homeport.
    """
    found = current_app.extensions.get(_NAME)
    if not isinstance(found, Discovery):
        raise NotReady(f'the application "{current_app.name}" has no Discovery: call Homeport(app) first')
    return found
