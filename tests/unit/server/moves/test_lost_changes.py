"""Lost messages of other coordinators are noticed by their numbers, and by silence."""

from __future__ import annotations

from niyanta.server.moves.lost_changes import BEAT_SECONDS, LostChanges


def test_numbers_in_a_row_are_fine() -> None:
    heard = LostChanges()
    assert not any(heard.note(origin, number, 0.0) for number in (1, 2, 3) for origin in ("a", "b"))


def test_a_missing_number_is_noticed_once() -> None:
    heard = LostChanges()
    assert not heard.note("a", 1, 0.0)
    assert heard.note("a", 3, 0.0)
    assert not heard.note("a", 4, 0.0)


def test_one_that_began_before_it_was_heard_or_began_anew_may_have_told_more() -> None:
    heard = LostChanges()
    assert heard.note("a", 7, 0.0)
    assert heard.note("a", 1, 0.0)


def test_a_release_that_does_not_count_is_believed() -> None:
    heard = LostChanges()
    assert not heard.note("a", 0, 0.0)
    assert not heard.fell_silent(1e9)


def test_silence_is_told_once() -> None:
    heard = LostChanges()
    heard.note("a", 1, 0.0)
    assert not heard.fell_silent(5 * BEAT_SECONDS)
    assert heard.fell_silent(5 * BEAT_SECONDS + 0.1)
    assert not heard.fell_silent(1e9)
    assert heard.note("a", 2, 1e9)


def test_one_that_has_said_its_last_may_be_silent() -> None:
    heard = LostChanges()
    heard.note("a", 1, 0.0)
    heard.forget("a")
    heard.forget("never heard of")
    assert not heard.fell_silent(1e9)
