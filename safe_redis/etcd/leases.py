"""Leases of the v3 API: what makes a key expire.

Each key has a lease of its own, so that one that is no longer written expires while the others
live on. Keeping a lease alive costs etcd's leader no write to its log; granting one does.
"""

import msgspec

from safe_redis.etcd.gateway import Gateway


class _Granted(msgspec.Struct, frozen=True):
    ID: int
    TTL: int = 0


class _KeptAlive(msgspec.Struct, frozen=True):
    result: _Granted


class Leases:
    """The leases of the keys that this process writes. Any thread may use it."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._leases: dict[str, tuple[int, int]] = {}

    def known(self, key: str, ttl: int) -> int:
        """The id of the key's lease, if it has one for `ttl` seconds; it may be gone by now. Else 0."""
        lease, granted = self._leases.get(key, (0, 0))
        return lease if granted == ttl else 0

    def granted(self, key: str, ttl: int) -> int:
        """The id of a new lease for the key; what another one still holds expires with that."""
        answer = self._gateway.call(f"grant a lease for {key}", "lease/grant", {"TTL": str(ttl)}, _Granted)
        self._leases[key] = (answer.ID, ttl)
        return answer.ID

    def renewed(self, key: str, lease: int) -> bool:
        """Whether the key's lease was still there, and so has all of its seconds again."""
        body = {"ID": str(lease)}
        answer = self._gateway.call(f"renew the lease of {key}", "lease/keepalive", body, _KeptAlive)
        return answer.result.TTL > 0

    def forget(self, key: str) -> None:
        """Have the key's next write grant a new lease; the one it has expires by itself."""
        self._leases.pop(key, None)
