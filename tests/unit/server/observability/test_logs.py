"""Log lines: one JSON object each, without Python's own spellings, with the id of the request that is served."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from niyanta.errors import ConfigurationError
from niyanta.server.observability.logs import configure_logging, name_request
from niyanta.server.settings import CoordinatorSettings

log = logging.getLogger("niyanta.test")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Configures logging as a program does; gives a function for the lines since."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging("INFO", json=True)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


def test_facts_are_written_as_people_would(lines: Any) -> None:
    facts = {
        "at": datetime(2025, 10, 27, 12, tzinfo=UTC),
        "error": ValueError("no"),
        "path": Path("/tmp/x"),
        "ids": {"a"},
        "pair": ("a", 1),
        "raw": b"\xffabc",
    }
    log.info("things.happened", extra=facts)
    (found,) = lines()
    assert (found["event"], found["level"], found["logger"]) == ("things.happened", "info", "niyanta.test")
    assert datetime.fromisoformat(found["timestamp"]).tzinfo is not None
    assert found["at"] == "2025-10-27T12:00:00+00:00"
    assert found["error"] == "ValueError: no"
    assert (found["path"], found["ids"], found["pair"]) == ("/tmp/x", ["a"], ["a", 1])
    assert found["raw"] == "\ufffdabc"


def test_a_traceback_and_a_text_of_several_lines_stay_on_one(lines: Any) -> None:
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        log.exception("broke\nhere")
    (found,) = lines()
    assert "RuntimeError: first\nsecond" in found["exception"]


async def test_each_request_has_its_own_id_in_all_its_lines(lines: Any) -> None:
    async def deeper() -> None:
        log.info("deeper")

    async def serve(request_id: str) -> None:
        name_request(request_id)
        log.info("began")
        await asyncio.create_task(deeper())

    log.info("outside")
    await asyncio.gather(*(asyncio.create_task(serve(f"req_{number}")) for number in range(3)))
    log.info("outside")
    found = lines()
    assert [line.get("request_id") for line in found if line["event"] == "outside"] == [None, None]
    for number in range(3):
        events = [line["event"] for line in found if line.get("request_id") == f"req_{number}"]
        assert events == ["began", "deeper"]


def test_the_level_is_a_setting(lines: Any) -> None:
    configure_logging("ERROR", json=True)
    log.warning("quiet")
    assert lines() == []
    with pytest.raises(ConfigurationError, match="log_level"):
        CoordinatorSettings.from_environment({"NIYANTA_LOG_LEVEL": "loud"}, database_url="x", nats_url="x")
