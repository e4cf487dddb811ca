"""Options that may hold a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from niyanta.wire.secret_values import holds_secret, secret_value

__all__ = ["KeyOption", "SecretOption"]


class SecretOption(click.Option):
    """Is taken from its variable, or from the file that ``<variable>_FILE`` names; on a command line it warns."""

    _is_refused = False

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """What the environment says."""
        if not isinstance(self.envvar, str):
            return super().resolve_envvar_value(ctx)
        return secret_value(os.environ, self.envvar) or None

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """The value, and where it is from."""
        value, source = super().consume_value(ctx, opts)
        if source is ParameterSource.COMMANDLINE and isinstance(value, str) and holds_secret(value):
            option = max(self.opts, key=len)
            text = (
                f"everybody on this machine can read the secret in {option} from the list of processes; "
                f"give it by {self.envvar} or {self.envvar}_FILE"
            )
            if self._is_refused:
                raise click.UsageError(text, ctx)
            click.echo(f"warning: {text}", err=True)
        return value, source


class KeyOption(SecretOption):
    """The same for what is nothing but a secret: on a command line it is refused."""

    _is_refused = True
