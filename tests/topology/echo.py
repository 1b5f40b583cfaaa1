"""A web service that answers a PUT with the topology that it understood, or as its name says."""

import os
import sys

from flask import Flask, Response

from topology.errors import Refused
from topology.model import Topology
from topology.settings import read
from topology.web import WebSettings, one_put, serve, text


def create() -> Flask:
    """The app."""

    def put(topology: Topology) -> Response:
        if topology.master.address == "refused":
            raise Refused("two lines\nof\u2028reasons")
        if topology.master.address == "broken":
            raise RuntimeError("the reason stays in the log")
        return text(" ".join(map(str, topology.instances)))

    return one_put("echo", "/echo", put)


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - run by its path, from the root
    serve("tests.topology.echo:create()", read(WebSettings, os.environ), threads=4)
