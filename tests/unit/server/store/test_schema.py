"""Where a database stands, and the steps that there are."""

from __future__ import annotations

import pytest

from niyanta.errors import ConfigurationError
from niyanta.server.store import schema


def test_steps_are_numbered_one_after_another() -> None:
    numbers = [step.number for step in schema.steps()]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert {step.path.suffix for step in schema.steps()} == {".sql", ".py"}
    assert schema.standing(None).newest == numbers[-1]
    assert all(schema.standing(number).known for number in numbers)


def test_a_newer_releases_database_is_refused() -> None:
    found = schema.standing("9999")
    assert not found.is_current
    with pytest.raises(ConfigurationError, match="newer than this release"):
        found.refuse_newer()


def test_an_empty_database_is_old_and_not_unknown() -> None:
    found = schema.standing(None)
    assert found.known
    assert not found.is_current


def test_a_postgresql_that_is_too_old_is_refused() -> None:
    schema.refuse_older(15)
    with pytest.raises(ConfigurationError, match="PostgreSQL 14: it must be 15 or newer"):
        schema.refuse_older(14)
