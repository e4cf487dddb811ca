"""What a worker's log looks like, and how much of it there is."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from niyanta import ConfigurationError
from niyanta.cli.log_lines import configure_worker_logging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, nats = logging.getLogger(), logging.getLogger("nats")
    before = (root.handlers[:], root.level, nats.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    nats.setLevel(before[2])


def test_a_record_is_an_object_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NIYANTA_LOG_LEVEL", raising=False)
    configure_worker_logging()
    log = logging.getLogger("a.part")
    log.debug("unseen")
    log.info("thing.done", extra={"workload_id": "wl_1", "seconds": 0.5, "of": {1}})
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("thing.failed: %s", "so")
    done, failed = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert done.pop("timestamp").endswith("Z")
    facts = {"workload_id": "wl_1", "seconds": 0.5, "of": [1]}
    assert done == {"event": "thing.done", "level": "info", "logger": "a.part", **facts}
    assert (failed["event"], failed["level"]) == ("thing.failed: so", "error")
    assert failed["exception"].endswith("ValueError: two\nlines")


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("INFO", 3), ("warning", 2), ("ERROR", 1)])
def test_the_level_is_a_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], level: str, seen: int
) -> None:
    monkeypatch.setenv("NIYANTA_LOG_LEVEL", level)
    configure_worker_logging()
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("a.part"), name)("x")
    assert len(capsys.readouterr().err.splitlines()) == seen


def test_a_level_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIYANTA_LOG_LEVEL", "loud")
    with pytest.raises(ConfigurationError, match="NIYANTA_LOG_LEVEL is 'LOUD'; it must be one of DEBUG, INFO"):
        configure_worker_logging()


class Counted(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """What a worker logs from here on."""
    stream = Counted()
    monkeypatch.setattr("sys.stderr", stream)
    configure_worker_logging()
    return stream


async def test_lines_of_one_turn_are_written_together_and_before_the_next(told: Counted) -> None:
    log = logging.getLogger("a.part")
    log.info("one")
    seen: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: seen.append(len(told.writes)))
    log.info("two")
    assert not told.writes
    await asyncio.sleep(0)
    assert seen == [1]
    assert [json.loads(line)["event"] for line in told.writes[0].splitlines()] == ["one", "two"]


async def test_a_warning_is_written_at_once_with_all_before_it(told: Counted) -> None:
    log = logging.getLogger("a.part")
    log.info("one")
    log.warning("two")
    await asyncio.to_thread(log.info, "three")
    assert [json.loads(line)["event"] for line in told.getvalue().splitlines()] == ["one", "two", "three"]


async def test_the_last_lines_are_written_at_the_end(told: Counted) -> None:
    logging.getLogger("a.part").info("last")
    logging.shutdown()
    assert "last" in told.getvalue()
