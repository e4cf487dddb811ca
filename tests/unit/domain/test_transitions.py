"""Every state against every move, by a table written out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from niyanta.domain import changes
from niyanta.domain import transitions as t
from niyanta.domain.forms import key_without
from niyanta.domain.transitions import IllegalMoveError
from niyanta.domain.workload import Actor, ActorType, Cause, EventType, Move, PausePhase, Status, WorkloadState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ACTOR = Actor(ActorType.COORDINATOR, "c1")


def state(status: Status) -> WorkloadState:
    """A workload as it can be found in a state."""
    held = status.is_held
    return WorkloadState(
        "cust_a",
        "wl_1",
        "count",
        status,
        version=7,
        generation=2,
        event_count=5,
        worker_id="w1" if held or status.is_terminal else None,
        incarnation="i1" if held else None,
        scheduled_from=Status.PENDING if held else None,
        checkpoint_sequence=3,
        pause_phase=PausePhase.GRANTED if status is Status.RUNNING else None,
        ready=status.is_queued,
        paused_at=NOW if status is Status.PAUSED else None,
        completed_at=NOW if status.is_terminal else None,
    )


MOVES: dict[str, Callable[[WorkloadState], Move]] = {
    "schedule": lambda s: t.schedule(s, NOW, ACTOR, "w2", "i2", 0),
    "unschedule": lambda s: t.unschedule(s, NOW, ACTOR, "refused"),
    "start": lambda s: t.start(s, NOW, ACTOR),
    "complete": lambda s: t.complete(s, NOW, ACTOR, "{}"),
    "fail": lambda s: t.fail(s, NOW, ACTOR, "broken", "permanent"),
    "retry": lambda s: t.fail_attempt(
        s, NOW, ACTOR, "broken", permanent=False, timed_out=False, max_retries=3, backoff_seconds=2.0
    ),
    "lose": lambda s: t.lose_worker(s, NOW, ACTOR, "gone", died=True),
    "refuse": lambda s: t.refuse(s, NOW, ACTOR, "its input doesn't fit", "f1"),
    "release": lambda s: t.release(s, NOW, ACTOR, "drained"),
    "pause": lambda s: t.pause(s, NOW, ACTOR),
    "resume": lambda s: t.resume(s, NOW, ACTOR),
    "cancel": lambda s: t.cancel(s, NOW, ACTOR, None),
}

P, S, R, A, D, C, F, X = (
    Status.PENDING,
    Status.SCHEDULED,
    Status.RUNNING,
    Status.PAUSED,
    Status.REDISTRIBUTING,
    Status.COMPLETED,
    Status.FAILED,
    Status.CANCELLED,
)

LEGAL: dict[str, dict[Status, Status]] = {
    "schedule": {P: S, D: S},
    "unschedule": {S: P},
    "start": {S: R},
    "complete": {R: C},
    "fail": {S: F, R: F, D: F},
    "retry": {S: D, R: D},
    "lose": {S: P, R: D},
    "refuse": {S: P, R: D},
    "release": {S: P, R: D},
    "pause": {R: A},
    "resume": {A: P},
    "cancel": {P: X, S: X, R: X, A: X, D: X},
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("status", list(Status))
def test_every_move_from_every_state(name: str, status: Status) -> None:
    before = state(status)
    target = LEGAL[name].get(status)
    if target is None:
        with pytest.raises(IllegalMoveError):
            MOVES[name](before)
        return
    move = MOVES[name](before)
    after = move.state
    assert after.status is target
    assert after.version == before.version + 1
    assert after.event_count == before.event_count + 1
    assert move.event is not None
    assert move.event.event_id == after.event_count
    assert move.event.details["from"] == status
    assert move.event.details["to"] == target
    assert (after.incarnation is not None) == target.is_held
    assert (after.completed_at is not None) == target.is_terminal
    assert (after.paused_at is not None) == (target is Status.PAUSED)
    assert not after.ready or target.is_queued
    if target in (P, D, A):
        assert after.worker_id is None
    if after.pause_phase is not None:
        assert target is Status.RUNNING


def test_each_assignment_is_a_new_generation() -> None:
    assert MOVES["schedule"](state(P)).state.generation == 3


def test_a_refused_assignment_goes_back_where_it_came_from() -> None:
    again = replace(state(S), scheduled_from=Status.REDISTRIBUTING)
    assert t.unschedule(again, NOW, ACTOR, "refused").state.status is D


def test_a_misfit_is_remembered_and_leads_to_another_lane() -> None:
    scheduled = replace(state(S), placement_key=77, retry_count=1)
    move = t.refuse(scheduled, NOW, ACTOR, "field gone", "f2")
    once = move.state
    assert (once.misfits, once.error_message, once.retry_count) == ("f2", "field gone", 1)
    assert move.event is not None
    assert move.event.details["misfit"] == "f2"
    assert once.placement_key == key_without(77, "f2") != 77
    twice = t.refuse(replace(scheduled, misfits=once.misfits, placement_key=once.placement_key), NOW, ACTOR, "", "f1")
    assert twice.state.misfits == "f1 f2"
    assert twice.state.placement_key == key_without(key_without(77, "f1"), "f2")
    again = replace(scheduled, misfits="f1 f2", placement_key=5)
    assert t.refuse(again, NOW, ACTOR, "", "f1").state.placement_key == 5


def test_retries_are_used_up_by_failures_and_not_by_lost_workers() -> None:
    running = replace(state(R), retry_count=9, failure_count=3)
    assert MOVES["retry"](running).state.status is F
    lost = MOVES["lose"](running).state
    assert (lost.status, lost.retry_count, lost.failure_count) == (D, 10, 3)


def test_the_third_death_in_a_row_fails_and_a_checkpoint_begins_anew() -> None:
    twice = replace(state(R), death_streak=2, pause_phase=None)
    assert MOVES["lose"](twice).state.status is F
    saved = changes.record_checkpoint(twice, NOW, ACTOR).state
    assert MOVES["lose"](saved).state.status is D
    assert t.lose_worker(twice, NOW, ACTOR, "removed", died=False).state.status is D


def test_a_worker_lost_before_the_start_counts_as_a_death_but_not_as_a_retry() -> None:
    lost = MOVES["lose"](replace(state(S), retry_count=4, death_streak=0))
    assert (lost.state.status, lost.state.death_streak, lost.state.retry_count) == (P, 1, 4)
    assert lost.event is not None
    assert lost.event.details["deaths_in_a_row"] == 1
    again = MOVES["lose"](replace(state(S), scheduled_from=D, death_streak=1)).state
    assert (again.status, again.death_streak) == (D, 2)
    third = MOVES["lose"](replace(state(S), death_streak=2))
    assert third.state.status is F
    assert "3 times in a row" in (third.state.error_message or "")
    assert third.event is not None
    assert third.event.details["reason"] == "poison"
    removed = t.lose_worker(replace(state(S), death_streak=2), NOW, ACTOR, "removed", died=False).state
    assert (removed.status, removed.death_streak) == (P, 2)


@pytest.mark.parametrize("status", [S, R])
def test_deaths_of_the_fleet_at_large_make_suspects_but_fail_nothing(status: Status) -> None:
    found = state(status)
    for _ in range(5):
        found = t.lose_worker(found, NOW, ACTOR, "gone", died=True, fleet_is_dying=True).state
        assert found.status is LEGAL["lose"][status]
        found = replace(state(status), death_streak=found.death_streak)
    assert found.death_streak == t.DEATHS_BEFORE_SUSPICION
    assert MOVES["lose"](found).state.status is F


def test_an_attempt_that_ends_by_itself_after_a_death_begins_the_count_anew() -> None:
    """A worker that outlived the attempt shows that the workload doesn't take workers down."""
    suspect = replace(state(R), death_streak=2)
    assert MOVES["retry"](suspect).state.death_streak == 0
    assert t.release(suspect, NOW, ACTOR, "drained").state.death_streak == 2


def test_a_pause_needs_a_checkpoint_after_it_was_asked_for() -> None:
    running = replace(state(R), pause_phase=None)
    asked = changes.request_pause(running).state
    with pytest.raises(IllegalMoveError):
        t.pause(asked, NOW, ACTOR)
    saved = changes.record_checkpoint(asked, NOW, ACTOR).state
    assert saved.pause_phase is PausePhase.GRANTED
    assert changes.withdraw_pause(saved).state is saved
    assert t.pause(saved, NOW, ACTOR).state.checkpoint_sequence == 4
    withdrawn = changes.withdraw_pause(asked).state
    assert changes.record_checkpoint(withdrawn, NOW, ACTOR).state.pause_phase is None


def test_progress_never_goes_back_and_stays_within_bounds() -> None:
    running = replace(state(R), progress_percent=40)
    assert changes.report_progress(running, 30, None).state.progress_percent == 40
    assert changes.report_progress(running, 300, None).state.progress_percent == 100


def test_a_workload_begins_in_the_queue_with_its_first_event() -> None:
    made = t.create("cust_a", "wl_1", "count", NOW, ACTOR)
    assert (made.state.status, made.state.version, made.state.event_count, made.state.ready) == (P, 1, 1, True)
    assert made.event is not None
    assert (made.event.event_id, made.event.type, made.event.details["to"]) == (1, EventType.CREATED, "PENDING")


def test_acknowledging_an_event_changes_nothing_but_its_number() -> None:
    old = state(R)
    acknowledged = changes.acknowledge(old, 7)
    assert acknowledged == Move(replace(old, event_sequence=7), None)


def test_each_redistribution_says_its_cause() -> None:
    attempt: Any = {"max_retries": 3, "backoff_seconds": 1.0, "permanent": False}
    moves = {
        Cause.WORKER_DIED: t.lose_worker(state(R), NOW, ACTOR, "gone", died=True),
        Cause.WORKER_REMOVED: t.lose_worker(state(R), NOW, ACTOR, "gone", died=False),
        Cause.ATTEMPT_FAILED: t.fail_attempt(state(R), NOW, ACTOR, "broken", timed_out=False, **attempt),
        Cause.TIMED_OUT: t.fail_attempt(state(R), NOW, ACTOR, "broken", timed_out=True, **attempt),
        Cause.HANDED_BACK: t.release(state(R), NOW, ACTOR, "drained"),
    }
    assert set(moves) == set(Cause)
    for cause, move in moves.items():
        assert (move.state.status, move.cause) == (D, cause)
    assert t.start(state(S), NOW, ACTOR).cause is None
