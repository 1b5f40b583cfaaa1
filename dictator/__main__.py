"""Starts the dictator: checks its settings, then becomes the web server."""

import os
import sys

from dictator.settings import Settings
from safe_redis.errors import SettingsError
from safe_redis.server import serve
from safe_redis.settings import read
from safe_redis.srv import Resolver


def main() -> int:
    """Never returns where the settings are good; else 2, with a line that names the variable."""
    try:
        settings = read(Settings, os.environ)
        settings.check_files()
        Resolver(settings.nameservers, settings.nameservers_port, settings.searchlist)
    except SettingsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    serve("dictator.app:create()", settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
