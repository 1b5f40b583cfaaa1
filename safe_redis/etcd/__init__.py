"""The one place that talks to etcd. A failure is a StoreError that names the key and the members."""

from safe_redis.etcd.settings import EtcdSettings
from safe_redis.etcd.store import Cleared, Event, Listing, Node, Reading, Store
from safe_redis.etcd.v2 import StoreV2
from safe_redis.etcd.v3 import StoreV3

__all__ = ["Cleared", "EtcdSettings", "Event", "Listing", "Node", "Reading", "Store", "connect"]


def connect(members: tuple[str, ...], settings: EtcdSettings, variable: str = "ETCD_PEERS") -> Store:
    """The store at `members` (URLs), through the API that the settings name.

    `variable` is where the URLs come from, for the SettingsError about a bad one.
    """
    kind = StoreV3 if settings.etcd_api == "v3" else StoreV2
    return kind(members, settings, variable)
