"""Serves the answers over UDP and TCP; each query is answered from etcd's contents at that moment."""

import logging
import socket
import socketserver
import struct
import threading
import time
from typing import Any

import dns.exception
import dns.message
import dns.rcode

from sandbox.keys import Keys, KeysError
from sandbox.skydns.answers import answer
from sandbox.skydns.records import Leaf, UnreadableError
from sandbox.skydns.wire import UDP_SIZE, encode

log = logging.getLogger(__name__)

# queries by UDP that are answered at once, each with a kept connection to etcd
THREADS = 32


class Resolver:
    """Answers queries, as bytes, from the etcd behind `keys`."""

    def __init__(self, keys: Keys, domain: str) -> None:
        self._keys = keys
        self._domain = domain

    def respond(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """The response to a query, None if the bytes are not a query."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException as error:
            log.warning("ignored %d bytes that are not a query: %r", len(wire), error)
            return None
        if len(query.question) != 1:
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.FORMERR)
            return encode(response)
        response = answer(query, self._domain, self.read, time.time())
        log.debug("answered %s: %s", query.question[0], dns.rcode.to_text(response.rcode()))
        return encode(response, 65535 if tcp else max(query.payload, UDP_SIZE))

    def read(self, key: str) -> tuple[Leaf, ...] | None:
        """All leaves at or below `key`, None if there is no such key."""
        try:
            node = self._keys.node(key, recursive=True)
        except KeysError as error:
            log.warning("failed to read %s: %s", key, error)
            raise UnreadableError(str(error)) from error
        return None if node is None else _leaves(node)


def _leaves(node: dict[str, Any]) -> tuple[Leaf, ...]:
    if node.get("dir"):
        return tuple(leaf for child in node.get("nodes", ()) for leaf in _leaves(child))
    return (Leaf(node["key"], node["value"], node.get("ttl", 0)),)


class _Tcp(socketserver.StreamRequestHandler):
    server: "_TcpServer"
    timeout = 10

    def handle(self) -> None:
        """Answer queries, each preceded by its length, until the client closes the connection."""
        while len(head := self.rfile.read(2)) == 2:
            (length,) = struct.unpack("!H", head)
            response = self.server.resolver.respond(self.rfile.read(length), tcp=True)
            if response is None:
                return
            self.wfile.write(struct.pack("!H", len(response)) + response)


class _TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    resolver: Resolver


def serve(resolver: Resolver, host: str, port: int) -> None:
    """Answer at `host` and `port` over UDP and TCP until the process ends."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    _TcpServer.address_family = family
    with socket.socket(family, socket.SOCK_DGRAM) as udp, _TcpServer((host, port), _Tcp) as tcp:
        udp.bind((host, port))
        tcp.resolver = resolver
        for _ in range(THREADS):
            threading.Thread(target=_serve_udp, args=(resolver, udp), daemon=True).start()
        log.info("answers at %s port %d, UDP and TCP", host, port)
        tcp.serve_forever()


def _serve_udp(resolver: Resolver, udp: socket.socket) -> None:
    """Answers one query after the other. Never returns."""
    while True:
        wire, client = udp.recvfrom(65535)
        try:
            response = resolver.respond(wire, tcp=False)
            if response is not None:
                udp.sendto(response, client)
        except Exception:
            log.exception("failed to answer %s", client)
