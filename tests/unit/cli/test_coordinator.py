"""How many processes ``niyanta coordinator`` is to be."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from niyanta.cli.cores import process_count, usable_cores
from niyanta.cli.main import root
from niyanta.domain.limits import MAX_COORDINATOR_PROCESSES
from niyanta.server.settings import CoordinatorSettings


@click.command()
@click.option("--processes", callback=process_count, default="1")
def told(processes: int) -> None:
    click.echo(processes)


@pytest.mark.parametrize(("said", "meant"), [("1", 1), (" 2 ", 2), ("64", 64)])
def test_a_number(said: str, meant: int) -> None:
    assert CliRunner().invoke(told, ["--processes", said]).output == f"{meant}\n"


def test_one_unless_told() -> None:
    assert CliRunner().invoke(told).output == "1\n"


def test_auto_is_as_many_as_there_are_cores() -> None:
    assert (
        CliRunner().invoke(told, ["--processes", "auto"]).output
        == f"{min(usable_cores(), MAX_COORDINATOR_PROCESSES)}\n"
    )
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("said", ["0", "-1", "65", "2.5", "two", "", "٢"])
def test_what_is_no_number_of_processes_is_refused_with_what_is_allowed(said: str) -> None:
    environment = {"NIYANTA_DATABASE_URL": "postgresql://x", "NIYANTA_NATS_URL": "nats://x"}
    for asked in (
        CliRunner().invoke(root, ["coordinator", "--processes", said], env=environment),
        CliRunner().invoke(root, ["coordinator"], env=environment | {"NIYANTA_PROCESSES": said or "none"}),
    ):
        assert asked.exit_code == 2
        assert "neither a number from 1 to 64 nor 'auto'" in " ".join(asked.output.split())


@pytest.mark.parametrize(
    ("bound", "most"),
    [
        ("max 100000\n", None),
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        ("199999 100000\n", 1),
        ("nonsense", None),
    ],
)
def test_a_containers_bound_holds(tmp_path: Path, bound: str, most: int | None) -> None:
    place = tmp_path / "cpu.max"
    place.write_text(bound)
    assert usable_cores(place) == (most or len(os.sched_getaffinity(0)))


def test_without_a_bound_all_cores_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none") == len(os.sched_getaffinity(0))


def test_strangers_are_bounded_over_all_processes_and_nothing_else_changes() -> None:
    settings = CoordinatorSettings.from_environment(
        {}, database_url="postgresql://x", nats_url="nats://x", max_strangers=2_001, max_strangers_per_source=5
    )
    share = settings.share(2)
    assert (share.max_strangers, share.max_strangers_per_source) == (1_001, 3)
    changed = {"max_strangers", "max_strangers_per_source"}
    assert {
        name for name in CoordinatorSettings.__struct_fields__ if getattr(share, name) != getattr(settings, name)
    } == changed
