"""Where a database stands, told without Alembic."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from niyanta.errors import ConfigurationError
from niyanta.server.store import schema


def test_the_steps_are_those_that_alembic_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert schema.standing(None).newest == script.get_current_head()
    for step in script.walk_revisions():
        assert schema.standing(step.revision).known


def test_a_newer_releases_database_is_refused() -> None:
    found = schema.standing("9999")
    assert not found.is_current
    with pytest.raises(ConfigurationError, match="newer than this release"):
        found.refuse_newer()


def test_an_empty_database_is_old_and_not_unknown() -> None:
    found = schema.standing(None)
    assert found.known
    assert not found.is_current


def test_a_coordinator_does_without_what_only_migrating_takes() -> None:
    """Its memory, each replica's, is a quarter smaller for it."""
    asked = "import sys, niyanta.cli.coordinator; print({'alembic', 'sqlalchemy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "set()"


def test_a_postgresql_that_is_too_old_is_refused() -> None:
    schema.refuse_older(15)
    with pytest.raises(ConfigurationError, match="PostgreSQL 14: it must be 15 or newer"):
        schema.refuse_older(14)
