from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niyanta.domain.shares import Claim, deserved


def test_slots_are_dealt_out_by_weight() -> None:
    assert deserved(12, {"a": Claim(1, 100), "b": Claim(2, 100)}) == {"a": 4.0, "b": 8.0}


def test_what_one_leaves_goes_to_the_others() -> None:
    assert deserved(12, {"a": Claim(1, 2), "b": Claim(1, 100), "c": Claim(1, 100)}) == {"a": 2.0, "b": 5.0, "c": 5.0}


def test_whoever_wants_nothing_deserves_nothing() -> None:
    assert deserved(3, {"a": Claim(1, 0), "b": Claim(1, 1)}) == {"a": 0.0, "b": 1.0}
    assert deserved(3, {}) == {}


@given(
    st.integers(0, 1000),
    st.dictionaries(st.text(max_size=3), st.builds(Claim, st.floats(0.1, 100), st.integers(0, 500)), max_size=8),
)
def test_no_slot_is_dealt_out_twice_and_none_is_left_while_wanted(slots: int, claims: dict[str, Claim]) -> None:
    shares = deserved(slots, claims)
    wanted = sum(claim.wanted for claim in claims.values())
    assert sum(shares.values()) == pytest.approx(min(slots, wanted))
    for who, claim in claims.items():
        assert 0 <= shares[who] <= claim.wanted + 1e-6
        poorer = [other for other in claims if shares[other] < claims[other].wanted - 1e-6]
        for other in poorer:  # who isn't content is nowhere behind by weight
            assert shares[other] / claims[other].weight >= shares[who] / claim.weight - 1e-6
