"""Folding readings into updates: however a workload's life is cut into readings, the story told is the same."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from niyanta.domain.records import LogLevel
from niyanta.domain.workload import Status
from niyanta.server.store.logs import LogPlace, StoredLine
from niyanta.server.store.watching import PastMove, WatchedState
from niyanta.server.watching.watched import Update, Watch, Watched

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 3


class Story:
    """A workload as the database holds it, and all that was ever committed."""

    def __init__(self) -> None:
        self.row: dict[str, Any] = {
            "customer_id": "cust_a",
            "workload_id": "wl_1",
            "status": Status.PENDING,
            "version": 1,
            "generation": 0,
            "event_sequence": 0,
            "event_count": 1,
            "progress_percent": 0,
            "progress_message": None,
            "error_message": None,
            "completed_at": None,
            "result_json": None,
            "db_now": BEGIN,
        }
        self.moves: list[PastMove] = []
        self.lines: list[StoredLine] = []
        self.told: list[tuple[str, int | str]] = []
        """What a watcher is to be told: ("line", text) or (status, version)."""

    def move(self, status: str) -> None:
        row = self.row
        row["generation"] += status == "SCHEDULED"
        row["event_sequence"] = 0 if status == "SCHEDULED" else row["event_sequence"] + 1
        row |= {"status": Status(status), "version": row["version"] + 1, "event_count": row["event_count"] + 1}
        if status == "COMPLETED":
            row |= {"completed_at": BEGIN, "result_json": "{}", "progress_percent": 100}
        details = {"to": status, "attempt": row["generation"], "version": row["version"]}
        move = {"event_id": row["event_count"], "at": BEGIN, "details": details}
        self.moves.append(msgspec.convert(move, PastMove))
        self.told.append((status, row["version"]))

    def line(self, minutes: int) -> None:
        row = self.row
        row["event_sequence"] += 1
        text = f"{row['generation']}.{row['event_sequence']}"
        clock = BEGIN + timedelta(hours=-minutes * row["generation"], seconds=row["event_sequence"])
        place = LogPlace(clock, row["generation"], row["event_sequence"])
        self.lines.append(StoredLine(place=place, level=LogLevel.INFO, message=text, details_json="{}"))
        self.told.append(("line", text))

    def progress(self, percent: int) -> None:
        self.row |= {
            "event_sequence": self.row["event_sequence"] + 1,
            "version": self.row["version"] + 1,
            "progress_percent": max(percent, self.row["progress_percent"]),
        }

    def read(self, watched: Watched) -> None:
        """One reading, as the service makes it, until nothing is left for another."""
        whole = False
        while not whole:
            moves = [move for move in self.moves if move.event_id > watched.events_seen]
            row = WatchedState(**self.row, moves=moves)
            span = watched.new_lines(row)
            found = []
            if span is not None:
                after, last = span[2:4], span[4:6]
                floor = span.floor or datetime.min.replace(tzinfo=UTC)
                found = [
                    line for line in self.lines if after < line.place[1:] <= last and line.place.logged_at >= floor
                ]
            whole = len(found) < PAGE
            watched.fold(row, found[:PAGE], whole=whole)
            watched.follows_log = True


ATTEMPT = st.lists(
    st.one_of(st.just("line"), st.just("read"), st.integers(1, 99).map(lambda n: ("progress", n))), max_size=8
)


@given(st.lists(st.tuples(ATTEMPT, st.booleans()), min_size=1, max_size=4), st.integers(0, 3), st.booleans())
def test_the_story_is_whole_and_in_order(attempts: list[Any], clock_skew: int, takes: bool) -> None:
    story, watched = Story(), Watched("cust_a", "wl_1")
    story.read(watched)
    watch = Watch(watched, lambda _: None, None, logs=True)
    watch.begin()
    updates: list[Update] = []

    def take() -> None:
        while (update := watch.take()) is not None:
            updates.append(update)

    for number, (acts, reads) in enumerate(attempts):
        story.move("SCHEDULED")
        story.move("RUNNING")
        for act in acts:
            if act == "line":
                story.line(clock_skew)
            elif act == "read":
                story.read(watched)
                if takes:
                    take()
            else:
                story.progress(act[1])
        story.move("COMPLETED" if number == len(attempts) - 1 else "REDISTRIBUTING")
        if reads:
            story.read(watched)
    story.read(watched)
    take()

    assert updates[0].status == "PENDING"
    previous = updates[0]
    told: list[tuple[str, int | str | None]] = []
    for update in updates[1:]:
        assert update.version >= previous.version + (update.kind == "status")
        if update.kind == "log":
            assert update.status == "RUNNING"
            told.append(("line", update.message))
        elif update.status != previous.status:
            told.append((update.status.value, update.version))
        previous = update
    assert told == story.told
    assert previous.is_terminal
    assert previous.progress_percent == 100
    watched.trim(watch.place)
    assert watched.size_bytes == 0


def test_an_interruption_goes_before_what_waits() -> None:
    story, watched = Story(), Watched("cust_a", "wl_1")
    story.read(watched)
    watch = Watch(watched, lambda _: None, None, logs=False)
    watch.begin()

    async def first() -> Exception:
        watch.interrupt(KeyError("the first counts"))
        watch.interrupt(ValueError("no more"))
        try:
            await anext(watch)
        except (KeyError, ValueError) as exc:
            return exc
        raise AssertionError("not interrupted")

    assert isinstance(asyncio.run(first()), KeyError)
    assert watch.place == watched.end


def test_the_times_of_what_is_told_never_go_back() -> None:
    """A move has its transaction's time; a reading has its own, perhaps milliseconds later than the next move's."""
    story, watched = Story(), Watched("cust_a", "wl_1")
    story.row["db_now"] = BEGIN + timedelta(milliseconds=5)
    story.read(watched)
    assert watched.current is not None
    times = [watched.current.timestamp]
    story.move("SCHEDULED")
    story.move("RUNNING")
    story.read(watched)
    story.progress(10)
    story.row["db_now"] = BEGIN
    story.read(watched)
    assert watched.progress is not None
    times += [watched[place].timestamp for place in range(watched.first, watched.end)] + [watched.progress.timestamp]
    story.move("COMPLETED")
    story.read(watched)
    times.append(watched.current.timestamp)
    assert times == sorted(times)
    assert len(times) == 5
