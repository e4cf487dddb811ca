"""Tags and labels on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import click

__all__ = ["parse_pairs", "parse_tags"]


def parse_pairs(pairs: Iterable[str], option: str) -> dict[str, str]:
    """``key=value`` texts as a dict.

    Raises:
        click.BadParameter: One isn't of this form, or a key has two values; tells the option.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"'{pair}' must look like key=value", param_hint=option)
        if found.setdefault(key, value) != value:
            raise click.BadParameter(f"'{key}' has one value: '{found[key]}' or '{value}'?", param_hint=option)
    return found


def parse_tags(tags: Iterable[str]) -> dict[str, str]:
    """The values of ``--tag``; as `parse_pairs`."""
    return parse_pairs(tags, "--tag")
