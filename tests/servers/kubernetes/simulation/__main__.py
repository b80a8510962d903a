"""Runs the stand-in: `python -m tests.servers.kubernetes.simulation --port N --data FOLDER …`."""

import argparse
import os
import ssl
from pathlib import Path

from aiohttp import web

from tests.servers.kubernetes.simulation.access import Access
from tests.servers.kubernetes.simulation.api import Api
from tests.servers.kubernetes.simulation.storage import Storage
from tests.servers.ports import LOOPBACK

LARGEST_BODY = 3 * 1024 * 1024
TOKEN_VARIABLE = "STAND_IN_ADMIN_TOKEN"


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    storage = Storage(arguments.data / "journal")
    access = Access(storage, admin_token=os.environ[TOKEN_VARIABLE])
    api = Api(storage, access, port=arguments.port)
    application = web.Application(client_max_size=LARGEST_BODY)
    application.router.add_route("*", "/{path:.*}", api.handle)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(arguments.certificate, arguments.key)
    web.run_app(
        application,
        host=LOOPBACK,
        port=arguments.port,
        ssl_context=tls,
        print=None,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=0.0,
        reuse_address=True,
    )


if __name__ == "__main__":
    main()
