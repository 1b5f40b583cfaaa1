"""Reads a service's settings from its environment into a frozen struct.

A field `connect_timeout` is read from CONNECT_TIMEOUT; an empty variable counts as not set. The field's type says what is
accepted (msgspec's lax mode, with `Meta` bounds). Errors name the variable and the value, but never a secret's.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from topology.errors import SettingsError

S = TypeVar("S", bound=msgspec.Struct)
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN")


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


def _value(variable: str, raw: str, kind: Any) -> Any:
    many = str(getattr(kind, "__origin__", kind)) == str(tuple)
    given: Any = [word for word in re.split(r"[\s,]+", raw) if word] if many else raw
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        shown = "(not shown)" if SECRET.search(variable) else repr(raw)
        raise SettingsError(f"{variable}={shown}: {error}") from None
