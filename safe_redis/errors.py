"""The one tree of errors. Each class has the HTTP status that a service answers with.

A message names the thing and the figure. It is sent as one line `ErrorClass: message`, so most
classes are named after what happened and don't end in "Error".
"""

from collections.abc import Mapping
from types import MappingProxyType


class TopologyError(Exception):
    """Anything that a service answers instead of `OK`."""

    status = 500
    headers: Mapping[str, str] = MappingProxyType({})


class DocumentError(TopologyError):
    """The document is malformed; the message names the field."""

    status = 400


class SettingsError(TopologyError):
    """An environment variable holds a bad value; the message names the variable and the value."""


class Unauthorized(TopologyError):
    """The request lacks the token that the service requires."""

    status = 401
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class Withdrawn(TopologyError):
    """The sender began a request so that the service could get ready, and did not complete it. Nothing was changed."""

    # nginx's own status for a client that has closed the connection
    status = 499


class Refused(TopologyError):
    """The change could lose data; the message says which instance holds what, and how to force it."""

    status = 409


class Outdated(TopologyError):
    """The document is older than one that was applied already; the message gives both indexes."""

    status = 409


class Unavailable(TopologyError):
    """Something that is needed can't be reached now. Nothing was changed; a retry may succeed."""

    status = 503


class Busy(Unavailable):
    """Earlier requests took longer than a request waits for its turn."""


class Unresolved(Unavailable):
    """A name has no usable SRV or address record, or no name server answered."""


class LostHolder(Unavailable):
    """The instance that may hold the newest data can't be reached; it may come back."""


class Interrupted(Unavailable):
    """An instance stopped answering in the middle of a switchover. The next run finds out where it stands."""


class NotCaughtUp(TopologyError):
    """The target did not catch up in time; everything was rolled back."""

    status = 504


class StoreError(Unavailable):
    """etcd can't be reached, or has no quorum."""


class Rejected(StoreError):
    """etcd refused the request: for instance because a key is a directory, or access is forbidden."""


class NoRecord(Unavailable):
    """A key that is needed is missing in etcd, or doesn't hold a usable record."""
