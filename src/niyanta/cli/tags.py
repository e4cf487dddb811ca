"""Tags and labels on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import click

__all__ = ["parse_pairs", "parse_tags"]


def parse_pairs(pairs: Iterable[str], option: str) -> dict[str, str]:
    """``key=value`` texts as a dict.

    Raises:
        click.BadParameter: One isn't of this form; tells the option.
    """
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"'{pair}' must look like key=value", param_hint=option)
    return dict(pair.split("=", 1) for pair in pairs)


def parse_tags(tags: Iterable[str]) -> dict[str, str]:
    """The values of ``--tag``; as `parse_pairs`."""
    return parse_pairs(tags, "--tag")
