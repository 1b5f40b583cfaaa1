"""The dictator's settings: what it reads from its environment, with the defaults."""

import ssl
from typing import Annotated

import msgspec

from safe_redis.errors import SettingsError
from safe_redis.settings import secret
from safe_redis.web import WebSettings

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Settings(WebSettings, frozen=True, kw_only=True):
    """Deadlines are in seconds; each bounds one wait, and the message of what ran into it gives the figure."""

    nameservers: tuple[str, ...] = ()
    nameservers_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 53
    searchlist: tuple[str, ...] = ()
    resolve_timeout: Seconds = 2.0

    redis_username: str = ""
    redis_password: str = ""
    redis_password_file: str = ""
    # the path of a CA's certificates (PEM): instances are reached by TLS, with certificates of this CA
    redis_tls: str = ""

    # to open a connection to an instance, and for any one answer of it
    connect_timeout: Seconds = 1.0
    reply_timeout: Seconds = 2.0
    # for the target to become an in-sync slave of the source; writes go on meanwhile
    sync_timeout: Seconds = 10.0
    # how long writes are held back at most; the target has half of it to apply what is under way
    pause_timeout: Seconds = 2.0
    # how long the answer waits for slaves to follow; those that need longer are named in it
    follow_timeout: Seconds = 2.0
    # how long a PUT waits for those before it, and how many may wait
    turn_timeout: Seconds = 20.0

    @property
    def password(self) -> str:
        """REDIS_PASSWORD, or the first line of REDIS_PASSWORD_FILE."""
        return secret("REDIS_PASSWORD", self.redis_password, self.redis_password_file)

    def check_files(self) -> None:
        """SettingsError where a file that a setting names can't be used."""
        _ = self.password
        if self.redis_tls:
            try:
                ssl.create_default_context(cafile=self.redis_tls)
            except OSError as error:  # an SSLError is one, too
                raise SettingsError(f"REDIS_TLS={self.redis_tls!r}: {error}") from None
