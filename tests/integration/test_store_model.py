"""The store against a model, one thing after another."""

from __future__ import annotations

from support.store_machine import StoreMachine, play


def test_the_store_does_what_the_model_says(database_url: str) -> None:
    play(database_url, StoreMachine, examples=12)
