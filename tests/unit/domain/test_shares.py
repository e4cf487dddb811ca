from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niyanta.domain.shares import Wish, deserved


def test_slots_are_dealt_out_by_weight() -> None:
    assert deserved(12, {"a": Wish(1, 100), "b": Wish(2, 100)}) == {"a": 4.0, "b": 8.0}


def test_what_one_leaves_goes_to_the_others() -> None:
    assert deserved(12, {"a": Wish(1, 2), "b": Wish(1, 100), "c": Wish(1, 100)}) == {"a": 2.0, "b": 5.0, "c": 5.0}


def test_whoever_wants_nothing_deserves_nothing() -> None:
    assert deserved(3, {"a": Wish(1, 0), "b": Wish(1, 1)}) == {"a": 0.0, "b": 1.0}
    assert deserved(3, {}) == {}


@given(
    st.integers(0, 1000),
    st.dictionaries(st.text(max_size=3), st.builds(Wish, st.floats(0.1, 100), st.integers(0, 500)), max_size=8),
)
def test_no_slot_is_dealt_out_twice_and_none_is_left_while_wanted(slots: int, wishes: dict[str, Wish]) -> None:
    shares = deserved(slots, wishes)
    wanted = sum(wish.wanted for wish in wishes.values())
    assert sum(shares.values()) == pytest.approx(min(slots, wanted))
    for who, wish in wishes.items():
        assert 0 <= shares[who] <= wish.wanted + 1e-6
        poorer = [other for other in wishes if shares[other] < wishes[other].wanted - 1e-6]
        for other in poorer:  # who isn't content is nowhere behind by weight
            assert shares[other] / wishes[other].weight >= shares[who] / wish.weight - 1e-6
