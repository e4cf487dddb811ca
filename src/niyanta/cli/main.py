"""``niyanta``: one command, its parts loaded when they are used."""

from __future__ import annotations

import importlib
import sys

import click

from niyanta.errors import ApiError, NiyantaError

__all__ = ["main"]

_COMMANDS = {
    "dev": "niyanta.cli.dev",
    "coordinator": "niyanta.cli.coordinator",
    "worker": "niyanta.cli.worker",
    "db": "niyanta.cli.db",
    "admin": "niyanta.cli.admin",
    **{
        name: f"niyanta.cli.workloads:{name}"
        for name in (
            *("submit", "submit-batch", "list", "get", "watch", "logs"),
            *("audit", "cancel", "pause", "resume"),
        )
    },
    "configs": "niyanta.cli.configs",
    "workers": "niyanta.cli.workers",
    "customer": "niyanta.cli.account:customer",
    "stats": "niyanta.cli.account:stats",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as exc:
            if exc.name and exc.name.startswith("niyanta"):
                raise
            raise click.ClickException(
                f"`niyanta {cmd_name}` needs the package '{exc.name}': pip install 'niyanta[all]'"
            ) from exc
        command: click.Command = found.COMMANDS[attribute] if attribute else found.command
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="niyanta", prog_name="niyanta")
def root() -> None:
    """Runs long jobs for many customers on one pool of machines and loses none of them."""


def _hint(error: ApiError) -> str:
    """What would have been right, where the answer says so."""
    for name in ("allowed", "supported_types"):
        if found := error.details.get(name):
            return f" ({name.replace('_', ' ')}: {', '.join(map(str, found)) if isinstance(found, list) else found})"
    return ""


def main() -> None:
    """Run; exit 0 when done, 1 when it failed, 2 on wrong use."""
    try:
        root(auto_envvar_prefix="NIYANTA", standalone_mode=False)
    except click.exceptions.Exit as exc:
        sys.exit(exc.exit_code)
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except ApiError as exc:
        click.echo(f"niyanta: {exc.code}: {exc.message}{_hint(exc)}", err=True)
        sys.exit(1)
    except NiyantaError as exc:
        click.echo(f"niyanta: {exc}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
