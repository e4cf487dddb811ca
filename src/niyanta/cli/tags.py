"""Tags on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import click

__all__ = ["parse_tags"]


def parse_tags(tags: Iterable[str]) -> dict[str, str]:
    """``key=value`` texts as a dict.

    Raises:
        click.BadParameter: One isn't of this form.
    """
    for tag in tags:
        if "=" not in tag:
            raise click.BadParameter(f"'{tag}' must look like key=value", param_hint="--tag")
    return dict(tag.split("=", 1) for tag in tags)
