"""``niyanta``: one command, its parts loaded when they are used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from niyanta.cli.light import left_out, lightly
from niyanta.errors import ApiError, NiyantaError
from niyanta.version import __version__

__all__ = ["COMMANDS", "Entry", "main", "root"]


class Entry(NamedTuple):
    """Where a command is, and the line that its help begins with, known without loading it."""

    place: str
    summary: str
    is_light: bool = False
    """Whether it is loaded without what only colours need, nor WebSockets to the broker unless its address asks for
    them."""


_WORKLOADS = {
    "submit": "Submit a workload.",
    "submit-batch": "Submit many workloads.",
    "list": "List workloads, newest first.",
    "get": "Show one workload.",
    "watch": "Follow a workload to its end.",
    "events": "Follow all workloads live, without end.",
    "audit": "Show a workload's history.",
    "pause": "Checkpoint and stop a workload.",
    "resume": "Go on from the last checkpoint.",
    "cancel": "Cancel workloads, at once and for good.",
}

_SECTIONS: dict[str, dict[str, Entry]] = {
    "Begin": {
        "new": Entry("niyanta.cli.new:command", "Write a worker, NAME.py, and its test."),
        "dev": Entry("niyanta.cli.dev:command", "Run the whole system on this machine."),
    },
    "Workloads": {
        **{name: Entry(f"niyanta.cli.workloads:COMMANDS.{name}", text) for name, text in _WORKLOADS.items()},
        "update": Entry(
            "niyanta.cli.updating:COMMANDS.update", "Change a workload's priority, time-out, affinity or labels."
        ),
        "fork": Entry("niyanta.cli.replaying:COMMANDS.fork", "Submit a workload again from one of its checkpoints."),
        "replay": Entry("niyanta.cli.replaying:COMMANDS.replay", "Submit workloads that have ended again."),
        "failures": Entry(
            "niyanta.cli.failures:COMMANDS.failures", "Show what workloads FAILED of, those together that are alike."
        ),
        "checkpoints": Entry(
            "niyanta.cli.checkpoints:COMMANDS.checkpoints", "Show a workload's checkpoints, the newest first."
        ),
        "explain": Entry("niyanta.cli.explaining:COMMANDS.explain", "Say why a workload waits."),
        "top": Entry("niyanta.cli.top:command", "Watch workloads and workers in a live table."),
        "logs": Entry("niyanta.cli.logs:COMMANDS.logs", "Show a workload's log."),
    },
    "Account": {
        "configs": Entry("niyanta.cli.configs:command", "Set workload types up."),
        "customer": Entry("niyanta.cli.account:COMMANDS.customer", "The account: limits, and what is used now."),
        "stats": Entry("niyanta.cli.account:COMMANDS.stats", "What was used."),
        "token": Entry("niyanta.cli.account:COMMANDS.token", "Make a short-lived token of the key."),
    },
    "Operate": {
        "worker": Entry("niyanta.cli.worker:command", "Run one worker.", is_light=True),
        "coordinator": Entry("niyanta.cli.coordinator:command", "Run one coordinator.", is_light=True),
        "workers": Entry("niyanta.cli.workers:command", "Look at workers, drain and remove them."),
        "admin": Entry("niyanta.cli.admin:command", "Customers, keys and join tokens, straight in the database."),
        "doctor": Entry("niyanta.cli.doctor:command", "Check a running system, and say what to do."),
        "db": Entry("niyanta.cli.db:command", "The database's schema, and who may do what there."),
    },
}

_SERVER_ALONE = ("coordinator", "admin", "db", "doctor")

COMMANDS: dict[str, Entry] = {name: entry for section in _SECTIONS.values() for name, entry in section.items()}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.place.partition(":")
        try:
            with lightly() if entry.is_light else left_out():
                found = importlib.import_module(module)
        except ModuleNotFoundError as exc:
            if exc.name and exc.name.startswith("niyanta"):
                raise
            extra = "server" if cmd_name in _SERVER_ALONE else "all"
            raise click.ClickException(
                f"`niyanta {cmd_name}` needs the package '{exc.name}': pip install 'niyanta[{extra}]'"
            ) from exc
        attribute, _, key = attribute.partition(".")
        command: click.Command = getattr(found, attribute)[key] if key else getattr(found, attribute)
        _name_variables(command, f"NIYANTA_{cmd_name}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"There is no command '{args[0]}'.{_nearest(args[0])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All commands by what they are for, without loading one."""
        for title, entries in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(12), entry.summary) for name, entry in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names, without loading what they name."""
        names = [
            CompletionItem(name, help=entry.summary)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def _nearest(name: str) -> str:
    import difflib

    found = difflib.get_close_matches(name, COMMANDS, n=1)
    return f" Is it '{found[0]}'?" if found else ""


def _name_variables(command: click.Command, prefix: str) -> None:
    """Give each option the environment variable that its name says, and have its help tell it."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.is_eager:
            parameter.show_envvar = True
            if parameter.envvar is None:
                longest = max(parameter.opts, key=len).lstrip("-")
                parameter.envvar = f"{prefix}_{longest}".upper().replace("-", "_")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            _name_variables(inner, f"{prefix}_{name}")


@click.command(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='Completion: eval "$(_NIYANTA_COMPLETE=bash_source niyanta)" in ~/.bashrc; zsh_source, fish_source.',
)
@click.version_option(__version__, prog_name="niyanta")
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
        root(prog_name="niyanta", standalone_mode=False)
    except click.exceptions.Exit as exc:
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except ApiError as exc:
        request = f" [request {exc.request_id}]" if exc.request_id else ""
        click.echo(f"niyanta: {exc.code}: {exc.message}{_hint(exc)}{request}", err=True)
        sys.exit(1)
    except NiyantaError as exc:
        click.echo(f"niyanta: {exc}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read what we print, as in `| head`, has enough
        sys.exit(1)
    except OSError as exc:
        if exc.filename is not None:
            raise
        _let_go_of_output()
        click.echo(f"niyanta: what it says can't be written: {exc.strerror or exc}", err=True)
        sys.exit(1)


def _let_go_of_output() -> None:
    """What waits to be written is given up: the interpreter would try again at its end, and fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    main()
