"""The dictator's settings: what it reads from its environment, with the defaults."""

import ipaddress
import ssl
from typing import Annotated

import msgspec

from safe_redis.errors import SettingsError
from safe_redis.settings import secret
from safe_redis.web import WebSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Settings(WebSettings, frozen=True, kw_only=True):
    """Deadlines are in seconds; each bounds one wait, and the message of what ran into it gives the figure."""

    # the name of the cluster in the lineage records: instances whose record has another name are never touched
    cluster: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")] = "redis-1"

    nameservers: tuple[str, ...] = ()
    nameservers_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 53
    searchlist: tuple[str, ...] = ()
    resolve_timeout: Seconds = 2.0

    redis_username: str = ""
    redis_password: str = ""
    redis_password_file: str = ""
    # the path of a CA's certificates (PEM): instances are reached by TLS, with certificates of this CA
    redis_tls: str = ""
    # where the receipt of each apply that changed something is sent, after the fact
    on_switch_url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^/\s]+.*)?$")] = ""
    # the networks (CIDRs) that instances may be in: no connection is made to any other address. Empty: all
    allowed_networks: tuple[str, ...] = ()
    # how many instances a document may name
    max_instances: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200

    # to open a connection to an instance, and for its whole reply to one group of commands
    connect_timeout: Seconds = 1.0
    reply_timeout: Seconds = 2.0
    # for the target to become an in-sync slave of the source; writes go on meanwhile
    sync_timeout: Seconds = 10.0
    # how long writes are held back at most; the target has half of it to apply what is under way
    pause_timeout: Seconds = 2.0
    # how long the answer waits for slaves to follow; those that need longer are named in it
    follow_timeout: Seconds = 2.0
    # whether the old master ends its clients' connections once it is a slave: pools that only read then look again
    disconnect_clients: bool = False
    # for a whole apply, once it is its turn: all waits outside of the window are cut to what is left of it
    apply_timeout: Seconds = 60.0
    # how long a PUT waits for those before it, and how many may wait
    turn_timeout: Seconds = 20.0

    @property
    def password(self) -> str:
        """REDIS_PASSWORD, or the first line of REDIS_PASSWORD_FILE."""
        return secret("REDIS_PASSWORD", self.redis_password, self.redis_password_file)

    @property
    def networks(self) -> tuple[Network, ...]:
        """ALLOWED_NETWORKS; SettingsError names the one that is none."""
        return tuple(map(_network, self.allowed_networks))

    @property
    def sends_password_anywhere(self) -> bool:
        """Whether a document could have the password sent to any address that it names."""
        return bool(self.password) and not self.allowed_networks

    def check_files(self) -> None:
        """SettingsError where a file that a setting names can't be used, or a network is none."""
        _ = self.password, self.networks, self.tls()

    def tls(self) -> ssl.SSLContext | None:
        """What connections to instances are made with; None where they are not encrypted."""
        if not self.redis_tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.redis_tls)
        except OSError as error:  # an SSLError is one, too
            raise SettingsError(f"REDIS_TLS={self.redis_tls!r}: {error}") from None
        # addresses are ephemeral, so that no certificate can name them; the CA is what is checked
        context.check_hostname = False
        return context


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise SettingsError(f"ALLOWED_NETWORKS={text!r}: {error}") from None
