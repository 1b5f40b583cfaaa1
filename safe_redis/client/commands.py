"""Which commands only read, and which ones wait. Pure: no I/O, no clock."""

from collections.abc import Sequence
from typing import Any

READS = frozenset(
    [
        "BITCOUNT",
        "BITFIELD_RO",
        "BITPOS",
        "DBSIZE",
        "DUMP",
        "ECHO",
        "EVALSHA_RO",
        "EVAL_RO",
        "EXISTS",
        "EXPIRETIME",
        "FCALL_RO",
        "GEODIST",
        "GEOHASH",
        "GEOPOS",
        "GEORADIUSBYMEMBER_RO",
        "GEORADIUS_RO",
        "GEOSEARCH",
        "GET",
        "GETBIT",
        "GETRANGE",
        "HEXISTS",
        "HEXPIRETIME",
        "HGET",
        "HGETALL",
        "HKEYS",
        "HLEN",
        "HMGET",
        "HPEXPIRETIME",
        "HPTTL",
        "HRANDFIELD",
        "HSCAN",
        "HSTRLEN",
        "HTTL",
        "HVALS",
        "INFO",
        "KEYS",
        "LASTSAVE",
        "LCS",
        "LINDEX",
        "LLEN",
        "LPOS",
        "LRANGE",
        "MGET",
        "PEXPIRETIME",
        "PFCOUNT",
        "PING",
        "PTTL",
        "RANDOMKEY",
        "ROLE",
        "SCAN",
        "SCARD",
        "SDIFF",
        "SINTER",
        "SINTERCARD",
        "SISMEMBER",
        "SMEMBERS",
        "SMISMEMBER",
        "SORT_RO",
        "SRANDMEMBER",
        "SSCAN",
        "STRLEN",
        "SUBSTR",
        "SUNION",
        "TIME",
        "TTL",
        "TYPE",
        "XLEN",
        "XPENDING",
        "XRANGE",
        "XREAD",
        "XREVRANGE",
        "ZCARD",
        "ZCOUNT",
        "ZDIFF",
        "ZINTER",
        "ZINTERCARD",
        "ZLEXCOUNT",
        "ZMSCORE",
        "ZRANDMEMBER",
        "ZRANGE",
        "ZRANGEBYLEX",
        "ZRANGEBYSCORE",
        "ZRANK",
        "ZREVRANGE",
        "ZREVRANGEBYLEX",
        "ZREVRANGEBYSCORE",
        "ZREVRANK",
        "ZSCAN",
        "ZSCORE",
        "ZUNION",
    ]
)
"""Commands that change nothing."""

SUBCOMMANDS = frozenset(
    {
        *(("CLIENT", word) for word in ("GETNAME", "ID", "INFO", "LIST")),
        *(("CONFIG", "GET"), ("MEMORY", "USAGE")),
        *(("OBJECT", word) for word in ("ENCODING", "FREQ", "IDLETIME", "REFCOUNT")),
        *(("PUBSUB", word) for word in ("CHANNELS", "NUMPAT", "NUMSUB")),
        *(("SCRIPT", word) for word in ("EXISTS", "LOAD")),
        *(("XINFO", word) for word in ("CONSUMERS", "GROUPS", "STREAM")),
    }
)
"""Subcommands that change nothing, or the same when they are sent again."""

LAST = frozenset({"BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BZPOPMIN", "BZPOPMAX"})
FIRST = frozenset({"BLMPOP", "BZMPOP"})
STREAMS = frozenset({"XREAD", "XREADGROUP"})
WAITING = LAST | FIRST | STREAMS
SHORTEST = 0.001
"""Seconds that a command still waits when its time is used up: it looks once more."""


def name(command: Sequence[Any]) -> tuple[str, str]:
    """The command's name and what may be its subcommand, in capitals; redis-py joins some of them."""
    first, _, second = _word(command[0]).partition(" ")
    return first, second or (_word(command[1]) if len(command) > 1 else "")


def _word(value: Any) -> str:
    if isinstance(value, str):  # as almost always
        return value.upper()
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).upper()


def only_reads(command: Sequence[Any]) -> bool:
    """Whether sending it twice is the same as sending it once."""
    first, second = name(command)
    return first in READS or (first, second) in SUBCOMMANDS


def blocks(command: Sequence[Any]) -> float | None:
    """Seconds that the server may wait before it answers; None for a command that doesn't wait. 0 is for ever."""
    place = _place(command)
    if place is None:
        return None
    try:
        seconds = float(command[place])
    except (TypeError, ValueError):
        return None  # the server says what is wrong
    return seconds / 1000 if _word(command[0]) in STREAMS else seconds


def shortened(command: Sequence[Any], elapsed: float) -> tuple[Any, ...]:
    """The same command, to wait `elapsed` seconds less."""
    place, seconds = _place(command), blocks(command)
    if place is None or not seconds:
        return tuple(command)
    left = max(SHORTEST, seconds - elapsed)
    value = max(1, round(left * 1000)) if _word(command[0]) in STREAMS else left
    return (*command[:place], value, *command[place + 1 :])


def _place(command: Sequence[Any]) -> int | None:
    """Where in the command its timeout is."""
    first = _word(command[0])
    if first not in WAITING:
        return None
    if first in LAST:
        return len(command) - 1
    if first in FIRST:
        return 1
    if first in STREAMS:
        words = [_word(word) for word in command[: _index(command, "STREAMS")]]
        return words.index("BLOCK") + 1 if "BLOCK" in words else None
    return None


def _index(command: Sequence[Any], word: str) -> int:
    return next((place for place, value in enumerate(command) if _word(value) == word), len(command))
