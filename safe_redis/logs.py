"""Configures logging; called by entry points only. LOG_LEVEL and LOG_FORMAT (text, json) set it."""

import logging
import sys
from typing import Literal

import msgspec
from pythonjsonlogger.json import JsonFormatter

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FIELDS = "%(levelname)s %(name)s %(message)s"


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service reads for its log."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"


def configure(settings: LogSettings) -> None:
    """Send every log record to stderr, one line each (in text form a traceback follows its line).

    In JSON, `time` is UTC with microseconds: a switch takes a few ms, and logs of services are laid side by side.
    """
    handler = logging.StreamHandler(sys.stderr)
    formatter: logging.Formatter = logging.Formatter(TEXT)
    if settings.log_format == "json":
        formatter = JsonFormatter(FIELDS, rename_fields={"levelname": "level"}, timestamp="time")
    handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    # these log every failed request that safe_redis.etcd reports too, and at DEBUG every byte
    logging.getLogger("etcd").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
