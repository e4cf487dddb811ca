"""Addresses of databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from niyanta.errors import ConfigurationError
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.servers import Servers


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://niyanta:opensesame/x@host:5432/niyanta",
        "postgresql://niyanta:opensesame@host:54x32/niyanta",
        "postgresql://niyanta:opensesame:x@one:5432,two:port/niyanta",
        "postgresql://niyanta:opensesame[x@host/niyanta",
        "opensesame://niyanta@host/niyanta",
    ],
)
def test_an_address_that_can_not_be_read_is_refused_without_repeating_any_of_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be read") as refused:
        Servers(url)
    assert "opensesame" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("url", ["postgresql:///niyanta?host=/run/postgresql", "postgres://u:p%2F@[::1]:5432,b/n"])
def test_an_address_that_can_be(url: str) -> None:
    Servers(url)


def test_settings_do_not_show_secrets() -> None:
    url = "postgresql://niyanta:opensesame@host/niyanta"
    settings = CoordinatorSettings.from_environment({}, database_url=url, nats_url="nats://opensesame@host")
    assert "opensesame" not in f"{settings!r} {settings}"


def test_settings_with_secrets_come_by_files_too(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://niyanta:opensesame@host/niyanta\n")
    environment = {"NIYANTA_DATABASE_URL_FILE": str(file), "NIYANTA_NATS_URL": "nats://host"}
    assert CoordinatorSettings.from_environment(environment).database_url == file.read_text().strip()
