"""A Flask application. SHOP_NAME is the name it is registered under."""

import os

from flask import Flask

from homeport.integrations.flask import Homeport, discovery

homeport = Homeport()


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(HOMEPORT_SERVICE=os.environ["SHOP_NAME"], HOMEPORT_TAGS=["shop"], HOMEPORT_TTL=600)
    if "SHOP_DRAIN" in os.environ:
        app.config["HOMEPORT_DRAIN_TIME"] = float(os.environ["SHOP_DRAIN"])
    if "SHOP_TESTING" in os.environ:
        app.testing = True
    homeport.init_app(app)

    @app.get("/find/<service>")
    def find(service: str) -> dict[str, str]:
        instance = discovery().resolve(service)
        return {"endpoint": instance.endpoint, "pid": str(os.getpid())}

    return app
