"""The one tree of errors. Each class carries the HTTP status that a service answers with.

A message names the thing and the figure; it is sent as one line `ErrorClass: message`, which is
why most names are what happened rather than `...Error`.
"""

from collections.abc import Mapping
from types import MappingProxyType


class TopologyError(Exception):
    """Anything that a service says to its caller instead of `OK`."""

    status = 500
    headers: Mapping[str, str] = MappingProxyType({})


class DocumentError(TopologyError):
    """The document is malformed; the message names the field."""

    status = 400


class SettingsError(TopologyError):
    """An environment variable holds a bad value; the message names the variable and the value."""


class Unauthorized(TopologyError):
    """The request doesn't carry the token that the service asks for."""

    status = 401
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class Refused(TopologyError):
    """Going on could lose data; the message says which instance holds what, and how to force it."""

    status = 409


class Outdated(TopologyError):
    """The document is older than one that was applied already; the message gives both indexes."""

    status = 409


class Unavailable(TopologyError):
    """Something needed can't be reached right now; nothing was touched, a retry may help."""

    status = 503


class Busy(Unavailable):
    """Other requests were not done within the time that a request waits for its turn."""


class Unresolved(Unavailable):
    """A name has no usable SRV or address record, or no name server answered."""


class LostHolder(Unavailable):
    """The instance that may hold the newest data can't be reached; it may come back."""


class Interrupted(Unavailable):
    """An instance fell silent in the middle of a switch; the next run finds out and goes on."""


class NotCaughtUp(TopologyError):
    """The target did not catch up in time; rolled back."""

    status = 504


class StoreError(Unavailable):
    """etcd can't be reached, or has no quorum."""


class Rejected(StoreError):
    """etcd answered that this very request can't be done: a key is a directory, or forbidden."""


class NoRecord(Unavailable):
    """A key that is needed is not in etcd, or does not hold a usable record."""
