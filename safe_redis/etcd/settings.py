"""How a service reaches etcd: the settings that dnsd, the observer and the registrar share."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from safe_redis.errors import SettingsError
from safe_redis.settings import secret


class EtcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which API; TLS by file paths (PEM), user and password, seconds for an answer."""

    # v2 needs etcd up to 3.5, v3 needs 3.4 or later
    etcd_api: Literal["v2", "v3"] = "v2"
    etcd_ca_file: str = ""
    etcd_cert_file: str = ""
    etcd_key_file: str = ""
    etcd_username: str = ""
    etcd_password: str = ""
    etcd_password_file: str = ""
    # without a quorum, etcd itself answers a write with an error after 7 s: it gets the time to
    etcd_timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 8.0

    @property
    def password(self) -> str:
        """ETCD_PASSWORD, or the first line of ETCD_PASSWORD_FILE."""
        return secret("ETCD_PASSWORD", self.etcd_password, self.etcd_password_file)


def member_url(variable: str, url: str) -> str:
    """The member's URL in full, port 4001 unless given; SettingsError names `variable` for a bad one."""
    bad = SettingsError(f"{variable}={url!r}: not an etcd member's URL like http://127.0.0.1:4001")
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        port = parts.port or 4001
    except ValueError:
        raise bad from None
    if not parts.hostname or parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
        raise bad
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"
