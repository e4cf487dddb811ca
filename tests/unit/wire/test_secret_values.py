"""Secrets from the environment and from files, and what is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from niyanta.errors import ConfigurationError
from niyanta.wire.secret_values import holds_secret, secret_value


def test_the_variable_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    environment = {"X_FILE": str(file)}
    assert secret_value(environment, "X") == "from a file"
    assert secret_value(environment | {"X": "itself"}, "X") == "itself"
    assert secret_value({}, "X") == ""


def test_a_file_that_can_not_be_read_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in ("missing", "binary", ""):
        with pytest.raises(ConfigurationError, match=r"^X_FILE can't be read"):
            secret_value({"X_FILE": str(tmp_path / path)}, "X")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("postgresql://host/name", False),
        ("postgresql://user@host/name", False),
        ("postgresql://user:password@host/name", True),
        ("postgresql://user:password@one,two/name", True),
        ("postgresql://[/name", True),
        ("nats://one:4222,nats://two:4222", False),
        ("nats://one:4222, nats://token@two:4222", True),
        ("nyt_cust_a_123", True),
        ("", False),
    ],
)
def test_what_opens_a_door(value: str, expected: bool) -> None:
    assert holds_secret(value) is expected
