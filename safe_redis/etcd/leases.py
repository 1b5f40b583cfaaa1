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

    def renewed(self, key: str, ttl: int) -> int:
        """The id of the key's lease, which has `ttl` seconds left."""
        lease, granted = self._leases.get(key, (0, 0))
        if lease and granted == ttl and self._keep_alive(key, lease):
            return lease
        answer = self._gateway.call(f"grant a lease for {key}", "lease/grant", {"TTL": str(ttl)}, _Granted)
        self._leases[key] = (answer.ID, ttl)
        return answer.ID

    def forget(self, key: str) -> None:
        """Have the key's next write grant a new lease; the one it has expires by itself."""
        self._leases.pop(key, None)

    def _keep_alive(self, key: str, lease: int) -> bool:
        body = {"ID": str(lease)}
        answer = self._gateway.call(f"renew the lease of {key}", "lease/keepalive", body, _KeptAlive)
        return answer.result.TTL > 0
