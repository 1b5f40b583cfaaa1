"""Reads a service's settings from its environment into a frozen struct.

A field `connect_timeout` is read from CONNECT_TIMEOUT; an empty variable counts as not set. The
field's type says what is accepted (msgspec's lax mode, with `Meta` bounds); a tuple takes values
apart at blanks and commas. Errors name the variable and the value, but never a secret's.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from safe_redis.errors import SettingsError

S = TypeVar("S", bound=msgspec.Struct)
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN")
# what a token may consist of
VISIBLE = re.compile(r"[!-~]*")


def read(kind: type[S], environ: Mapping[str, str]) -> S:
    """`kind` filled from `environ`; SettingsError names the first variable that does not fit."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        variable = field.encode_name.upper()
        raw = environ.get(variable, "").strip()
        if raw:
            values[field.name] = _value(variable, raw, field.type)
        elif field.required:
            raise SettingsError(f"{variable} is not set")
    return kind(**values)


def secret(variable: str, given: str, path: str) -> str:
    """A secret that is `given` in `variable`, or is the first line of the file in `variable`_FILE.

    Empty where neither is set; SettingsError where both are, or where the file holds none.
    """
    if not path:
        return given
    if given:
        raise SettingsError(f"{variable} and {variable}_FILE are both set; give one of them")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{variable}_FILE={path!r}: {error}") from None
    if not lines or not lines[0]:
        raise SettingsError(f"{variable}_FILE={path!r}: the file's first line is empty")
    return lines[0]


def token(given: str, path: str) -> str:
    """TOKEN, or the first line of TOKEN_FILE; SettingsError also where no header could carry it as it is."""
    text = secret("TOKEN", given, path)
    if not VISIBLE.fullmatch(text):
        raise SettingsError("TOKEN holds a blank, or a character that isn't ASCII: clients would send it differently")
    return text


def _value(variable: str, raw: str, kind: Any) -> Any:
    many = getattr(kind, "__origin__", kind) is tuple
    given: Any = [word for word in re.split(r"[\s,]+", raw) if word] if many else raw
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        shown = "(not shown)" if SECRET.search(variable) else repr(raw)
        raise SettingsError(f"{variable}={shown}: {error}") from None
