"""Gives each test an empty object store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from s3_server import S3Server


@pytest.fixture(autouse=True)
def _root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers of these tests read and write where the tests do, and nowhere else."""
    monkeypatch.setenv("EXAMPLES_ROOT", str(tmp_path_factory.getbasetemp()))
    monkeypatch.delenv("EXAMPLES_S3", raising=False)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with S3Server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("EXAMPLES_S3", "*=s3://bucket *=s3://photos *=s3://media")
        yield server
