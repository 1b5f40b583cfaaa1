"""Starts dnsd: checks its settings, then becomes the web server."""

import os
import sys

from dnsd.settings import read
from safe_redis.errors import SettingsError
from safe_redis.server import serve


def main() -> int:
    """Never returns where the settings are good; else 2, with a line that names the variable."""
    try:
        settings, _ = read(os.environ)
    except SettingsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    serve("dnsd.app:create()", settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
