"""What is said on the hot path is a log record like any other."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from niyanta.telemetry.facts import facts_of, say

FACTS = {"workload_id": "wl_1", "seconds": 0.5}
log = logging.getLogger("niyanta.tests.facts")


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[_Kept]:
    handler = _Kept()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


def test_it_says_what_logging_says_but_for_the_place_in_the_code(kept: _Kept) -> None:
    log.info("thing.done", extra=FACTS)
    say(log, logging.INFO, "thing.done", FACTS)
    usual, quick = kept.records
    assert vars(usual).keys() <= vars(quick).keys()
    for name in ("name", "levelno", "levelname", "msg", "thread", "threadName", "process", "processName", *FACTS):
        assert getattr(quick, name) == getattr(usual, name), name
    assert usual.created <= quick.created < usual.created + 60
    assert usual.relativeCreated <= quick.relativeCreated < usual.relativeCreated + 60_000
    assert quick.msecs == pytest.approx(quick.created % 1 * 1000)
    assert facts_of(quick) == facts_of(usual) == FACTS
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s %(workload_id)s %(threadName)s")
    assert form.format(quick).partition(" INFO ")[2] == form.format(usual).partition(" INFO ")[2]
    assert facts_of(quick) == FACTS, "a text that was made of it is no fact"


def test_what_nobody_wants_is_not_said(kept: _Kept) -> None:
    say(log, logging.DEBUG, "thing.done", FACTS)
    kept.addFilter(lambda record: record.msg != "thing.done")
    say(log, logging.INFO, "thing.done", FACTS)
    assert kept.records == []


def test_who_adds_to_each_record_adds_to_these_too(kept: _Kept) -> None:
    usual = logging.getLogRecordFactory()

    def more(*args: object, **kwargs: object) -> logging.LogRecord:
        record = usual(*args, **kwargs)
        record.added = "more"
        return record

    logging.setLogRecordFactory(more)
    try:
        say(log, logging.INFO, "thing.done", FACTS)
    finally:
        logging.setLogRecordFactory(usual)
    assert facts_of(kept.records[0]) == {**FACTS, "added": "more"}
