"""How API keys are spelled."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niyanta.domain.api_keys import ALPHABET, RANDOM_LENGTH, customer_of, spell_key

CUSTOMERS = st.from_regex(r"cust_[A-Za-z0-9][A-Za-z0-9_-]{0,58}", fullmatch=True)
RANDOM = st.text(ALPHABET, min_size=RANDOM_LENGTH, max_size=RANDOM_LENGTH)


@given(CUSTOMERS, RANDOM)
def test_a_key_is_spelled_as_the_contract_says_and_names_its_customer(customer_id: str, random_text: str) -> None:
    key = spell_key(customer_id, random_text)
    assert re.fullmatch(rf"nyt_{re.escape(customer_id)}_[a-z0-9]{{32}}", key)
    assert customer_of(key) == customer_id


@given(CUSTOMERS, RANDOM, st.data())
def test_no_letter_can_be_changed_unnoticed(customer_id: str, random_text: str, data: st.DataObject) -> None:
    key = spell_key(customer_id, random_text)
    place = data.draw(st.integers(len("nyt_cust_"), len(key) - 1))
    letter = data.draw(st.sampled_from(ALPHABET).filter(lambda found: found != key[place]))
    assert customer_of(key[:place] + letter + key[place + 1 :]) is None


def test_another_customers_prefix_is_noticed() -> None:
    key = spell_key("cust_a", "0" * RANDOM_LENGTH)
    assert customer_of(key.replace("cust_a", "cust_b")) is None


GOOD = spell_key("cust_a", "0" * RANDOM_LENGTH)


@pytest.mark.parametrize(
    "text", ["", "nyt_", "nyt_cust_a", GOOD + "\n", " " + GOOD, GOOD.upper(), GOOD[:-1], GOOD + "0"]
)
def test_what_is_no_key_names_nobody(text: str) -> None:
    assert customer_of(text) is None
