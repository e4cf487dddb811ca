"""The one command: what it says of itself, quickly, and what its options may be set by."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from niyanta.cli.main import COMMANDS, root
from niyanta.cli.output import plain
from niyanta.cli.tags import parse_pairs
from niyanta.cli.times import age, parse_since
from niyanta.client.models import Workload
from niyanta.client.status import Status
from niyanta.version import __version__


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("NIYANTA_")} | environment
    argv = [sys.executable, "-m", "niyanta.cli.main", *words]
    return subprocess.run(argv, env=own, capture_output=True, text=True, timeout=60, check=False)


def loaded(*words: str) -> set[str]:
    code = f"import sys; sys.argv = ['niyanta', *{words!r}]\nfrom niyanta.cli.main import main\ntry: main()\n"
    code += "finally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return {name.partition(".")[0] for name in done.stderr.split()} | set(done.stderr.split())


HEAVY = {
    "aiohttp",
    "rich",
    "asyncpg",
    "grpc",
    "nats",
    "niyanta.server",
    "niyanta.worker",
    "av",
    "uvloop",
}


@pytest.mark.parametrize(
    "words",
    [("--help",), ("--version",), ("list", "--help"), ("logs", "--help"), ("list", "--url", "http://127.0.0.1:1")],
)
def test_it_loads_only_what_it_uses(words: tuple[str, ...]) -> None:
    assert loaded(*words) & HEAVY == set()


def test_a_worker_starts_without_what_only_websockets_need() -> None:
    assert "aiohttp" not in loaded("worker", "--help")
    assert "aiohttp" in loaded("worker", "--help", "--nats-url", "ws://127.0.0.1:1")


def test_a_coordinator_is_small_without_what_its_settings_do_not_ask_for() -> None:
    nowhere = ("--database-url", "postgresql://127.0.0.1:1/none", "--nats-url", "nats://127.0.0.1:1")
    ports = ("--port", "0", "--grpc-port", "0")
    alone = loaded("coordinator", *nowhere, *ports)
    assert "niyanta.server.coordinator" in alone
    assert {"aiohttp", "rich"} & alone == set()
    assert {"asyncpg", "niyanta.server.coordinator"} & loaded("coordinator", "--help") == set()


def test_what_was_left_out_can_be_imported_afterwards() -> None:
    code = "import click\nfrom niyanta.cli.main import root\nroot.get_command(click.Context(root), 'worker')\n"
    code += "import aiohttp; print(aiohttp.ClientSession.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "ClientSession\n", done.stderr


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_summary_is_what_the_command_says(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").startswith(COMMANDS[name].summary.removesuffix("."))


def _options(command: click.Command, path: str) -> list[tuple[str, click.Option]]:
    found = [(path, p) for p in command.params if isinstance(p, click.Option)]
    for name, inner in getattr(command, "commands", {}).items():
        found += _options(inner, f"{path} {name}")
    return found


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_help_of_each_option_names_its_variable_and_says_what_it_is(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    for path, option in _options(command, name):
        place = f"niyanta {path} {option.opts[0]}"
        assert option.show_envvar, place
        assert str(option.envvar).startswith("NIYANTA_") or option.envvar == "TRACEPARENT", place  # of a standard
        assert option.help or option.type.name == "choice", place


def test_an_option_is_set_by_its_variable() -> None:
    done = run("list", "--url", "http://127.0.0.1:1", "--api-key", "x", NIYANTA_LIST_LIMIT="nonsense")
    assert done.returncode == 2
    assert "NIYANTA_LIST_LIMIT" in run("list", "--help").stdout
    assert "NIYANTA_WORKERS_LIST_STATUS" in run("workers", "list", "--help").stdout


def test_a_mistyped_command_is_guessed() -> None:
    done = run("lst")
    assert done.returncode == 2
    assert "Is it 'list'?" in done.stderr


def test_version() -> None:
    assert run("--version").stdout == f"niyanta, version {__version__}\n"


def test_completion_knows_the_commands_without_loading_them() -> None:
    done = run(_NIYANTA_COMPLETE="bash_complete", COMP_WORDS="niyanta wo", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,worker", "plain,workers"]
    assert "_NIYANTA_COMPLETE=bash_source niyanta" in " ".join(run("--help").stdout.split())


def test_an_address_without_its_scheme_is_explained() -> None:
    done = run("list", "--url", "localhost:8080", "--api-key", "x")
    assert done.returncode == 1
    assert "as in http://localhost:8080" in done.stderr


def test_without_the_server_s_packages_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "asyncpg.py").write_text("raise ModuleNotFoundError('No module named asyncpg', name='asyncpg')")
    for words, extra in ((("admin", "--help"), "niyanta[server]"), (("dev", "--help"), "niyanta[all]")):
        done = run(*words, PYTHONPATH=str(tmp_path))
        assert done.returncode == 1
        assert f"pip install '{extra}'" in done.stderr


def test_json_has_what_was_sent_and_times_have_milliseconds() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    workload = Workload(workload_id="wl_1", status=Status.PENDING, version=3, created_at=at, input_params={"a": None})
    assert plain(workload) == {
        "workload_id": "wl_1",
        "status": "PENDING",
        "version": 3,
        "created_at": "2026-01-02T03:04:05.000Z",
        "input_params": {"a": None},
    }
    assert plain([at + timedelta(microseconds=1999)]) == ["2026-01-02T03:04:05.001Z"]


NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("15m", timedelta(minutes=15)),
        ("2026-01-02", timedelta(hours=12)),
        ("2026-01-02T11:00:00", timedelta(hours=1)),
        ("2026-01-02T11:00:00+01:00", timedelta(hours=2)),
        ("2026-01-02T11:59:59.999Z", timedelta(milliseconds=1)),
    ],
)
def test_since(text: str, ago: timedelta) -> None:
    assert NOW - parse_since(text, NOW) == ago


def test_of_a_key_that_has_two_values_neither_is_taken() -> None:
    assert parse_pairs(["a=1", "b=", "a=1", "c=d=e"], "--label") == {"a": "1", "b": "", "c": "d=e"}
    with pytest.raises(click.BadParameter, match="'a' has one value: '1' or '2'"):
        parse_pairs(["a=1", "a=2"], "--label")


@pytest.mark.parametrize("text", ["", "yesterday", "15x", "15", "2026-13-01"])
def test_a_since_that_is_neither_is_explained(text: str) -> None:
    with pytest.raises(click.BadParameter, match="must look like"):
        parse_since(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (200_000, "2d")]
)
def test_ages(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


NOWHERE = {"NIYANTA_URL": "http://127.0.0.1:1", "NIYANTA_API_KEY": "nyt_cust_a_x"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("@{folder}/missing", "missing can't be read: No such file or directory"),
        ("@{folder}", "can't be read: Is a directory"),
        ("@{folder}/latin", "latin isn't UTF-8: byte 9 is 0xfc"),
        ('{{"a": NaN}}', "NaN is no JSON value"),
        ('{{"a": -Infinity}}', "-Infinity is no JSON value"),
        ('{{"a": {{"b": 1, "b": 2}}}}', "the name 'b' comes twice in an object"),
        ('{{"a": ' + "[" * 100_000 + "}}", "nested too deeply"),
        ("[1]", "must be a JSON object"),
        ("", "not JSON"),
    ],
)
def test_input_that_would_come_out_different_is_refused(tmp_path: Path, given: str, says: str) -> None:
    (tmp_path / "latin").write_bytes('{"name": "ü"}'.encode("latin-1").replace(b'"\xfc', b"\xfc"))
    done = run("submit", "x", "--input", given.format(folder=tmp_path), **NOWHERE)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert says in done.stderr


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "there is no workload in it"),
        (b"\n \n", "there is no workload in it"),
        (b'{"workload_type": "\xff"}', "isn't UTF-8: byte 19 is 0xff"),
        (b'{"a": 1}\n@/etc/hostname\n', "line 2: not JSON"),
        (b"{}\n[]\n", "line 2: must be a JSON object"),
        # What may stand in a JSON text ends no line: it goes as far as the service, which isn't there.
        ('\ufeff{"workload_type": "x", "input_params": {"a": "\u2028\x85"}}\n'.encode(), "cannot reach the service"),
    ],
)
def test_a_batch_is_a_workload_a_line(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "batch").write_bytes(data)
    done = run("submit-batch", str(tmp_path / "batch"), **NOWHERE)
    assert (done.returncode in (1, 2), "Traceback" in done.stderr) == (True, False)
    assert says in done.stderr


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("list", "--help")])
def test_output_that_can_not_be_written_is_said(words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        argv = [sys.executable, "-m", "niyanta.cli.main", *words]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "niyanta: what it says can't be written: No space left on device\n"
