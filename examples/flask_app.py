"""A Flask application that is registered while it serves. Run it with `gunicorn flask_app:app`."""

from flask import Flask

from homeport.integrations.flask import Homeport, discovery

app = Flask(__name__)
app.config["HOMEPORT_SERVICE"] = "web"
app.config["HOMEPORT_TAGS"] = ["production"]
Homeport(app)


@app.get("/")
def invoices() -> dict[str, str]:
    billing = discovery().resolve("billing")  # asks once; from then on from memory
    return {"invoices": billing.url("/v1/invoices")}
