"""A web service that answers a PUT with the topology that it understood, or as its name says."""

import os

from flask import Flask, Response

from safe_redis.errors import Refused
from safe_redis.server import serve
from safe_redis.settings import read
from safe_redis.topology import Topology
from safe_redis.web import WebSettings, document_app, text


def create() -> Flask:
    """The app."""

    def put(topology: Topology) -> Response:
        if topology.master.address == "refused":
            raise Refused("two lines\nof\u2028reasons")
        if topology.master.address == "broken":
            raise RuntimeError("the reason stays in the log")
        return text(" ".join(map(str, topology.instances)))

    return document_app("echo", "/echo", put, read(WebSettings, os.environ))


if __name__ == "__main__":
    serve("tests.safe_redis.echo:create()", read(WebSettings, os.environ))
