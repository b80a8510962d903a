"""Flask: an application that is registered while it serves, and finds others.

>>> from flask import Flask
>>> from homeport.integrations.flask import Homeport, discovery
>>> app = Flask(__name__)
>>> app.config["HOMEPORT_SERVICE"] = "api"
>>> app.config["HOMEPORT_BACKEND"] = "homeport://127.0.0.1:8500"
>>> _ = Homeport(app)
>>> @app.get("/invoices")
... def invoices() -> str:
...     return discovery().resolve("billing").url("/invoices")
"""

from __future__ import annotations

from .extension import Homeport, discovery

__all__ = ["Homeport", "discovery"]
