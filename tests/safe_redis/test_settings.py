"""Settings are read from the environment, and what is wrong is named."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from safe_redis.errors import SettingsError
from safe_redis.settings import read, secret, token


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    number: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    ratio: float = 0.5
    names: tuple[str, ...] = ()
    level: Literal["low", "high"] = "low"
    some_password: Annotated[str, msgspec.Meta(max_length=3)] = ""
    needed: str


def test_reads_each_field_from_its_variable() -> None:
    environ = {"NUMBER": " 7 ", "RATIO": "2", "NAMES": "a, b\tc", "LEVEL": "high", "SOME_PASSWORD": "x", "NEEDED": "y"}
    expected = Sample(number=7, ratio=2.0, names=("a", "b", "c"), level="high", some_password="x", needed="y")
    assert read(Sample, environ) == expected


def test_what_is_empty_or_unknown_counts_as_not_set() -> None:
    assert read(Sample, {"NUMBER": "", "NAMES": " ", "NEEDED": "y", "OTHER": "z"}) == Sample(needed="y")


@pytest.mark.parametrize(
    ("variable", "value"), [("NUMBER", "0"), ("NUMBER", "ten"), ("NUMBER", "3.5"), ("RATIO", "half"), ("LEVEL", "HIGH")]
)
def test_names_the_variable_and_the_value(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}='{value}': "):
        read(Sample, {"NEEDED": "y", variable: value})


def test_names_a_variable_that_is_not_set() -> None:
    with pytest.raises(SettingsError, match=r"^NEEDED is not set$"):
        read(Sample, {})


def test_never_tells_a_secret() -> None:
    with pytest.raises(SettingsError) as error:
        read(Sample, {"NEEDED": "y", "SOME_PASSWORD": "hunter2"})
    assert "SOME_PASSWORD" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_secret_is_given_or_is_the_first_line_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\nsecond line\n")
    assert secret("X", "given", "") == "given"
    assert secret("X", "", str(file)) == "from the file"
    assert secret("X", "", "") == ""


def test_a_secrets_file_must_hold_one(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("")
    with pytest.raises(SettingsError, match=r"^X_FILE='.*': the file's first line is empty"):
        secret("X", "", str(file))
    with pytest.raises(SettingsError, match=r"^X_FILE='.*': .*No such file"):
        secret("X", "", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"X and X_FILE are both set"):
        secret("X", "given", str(file))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"^X_FILE="):
        secret("X", "", str(file))


@pytest.mark.parametrize("bad", ["hör-zu", "two words", "trailing ", "\ufeffmark", "tab\tbed", "nul\0"])
def test_a_token_that_no_header_can_carry_is_refused(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "token"
    file.write_text(f"{bad}\n")
    for given, path in ((bad, ""), ("", str(file))):
        with pytest.raises(SettingsError, match=r"^TOKEN holds a blank") as error:
            token(given, path)
        assert bad not in str(error.value)
    assert token("", "") == ""
    assert token("correct-horse", "") == "correct-horse"
