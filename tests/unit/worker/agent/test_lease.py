"""How long a worker trusts its lease."""

from __future__ import annotations

from niyanta.worker.agent.lease import CUT_OFF_SECONDS, Lease


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_counts_from_the_send_of_the_last_answered_beat() -> None:
    clock = Clock()
    lease = Lease(clock)
    lease.seconds = 10.0
    clock.now = 103.0
    lease.answered(101.0, recorded=True)
    assert lease.left_seconds == CUT_OFF_SECONDS - 2
    assert lease.exclusive_left_seconds == 5.0


def test_an_answer_that_records_nothing_does_not_prolong_what_is_exclusive() -> None:
    clock = Clock()
    lease = Lease(clock)
    for clock.now in (102.0, 104.0, 106.0, 108.0):
        lease.answered(clock.now, recorded=False)
    assert lease.exclusive_left_seconds < 0
    assert lease.left_seconds == CUT_OFF_SECONDS
