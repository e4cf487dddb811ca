"""Tables: nothing is cut, whatever the width."""

from __future__ import annotations

import click
import pytest

from niyanta.cli.table import Column, render

ID = "wl_01m8c51n01xvxgadvwbef43vz2"
WORKER = "worker-with-a-name-of-sixty-three-characters-0123456789-abcdefg"
COLUMNS = (
    Column("workload"),
    Column("type", folds=True),
    Column("status"),
    Column("worker"),
    Column("done", right=True),
)
ROW = (ID, "a type with some words", click.style("REDISTRIBUTING", fg="yellow"), WORKER, "7%")


def table(rows: list[tuple[str, str]], width: int | None) -> str:
    return click.unstyle(render((Column("id"), Column("text", folds=True)), rows, width))


@pytest.mark.parametrize("width", [1, 20, 40, 80, 120, 200])
def test_ids_and_states_stay_whole(width: int) -> None:
    shown = click.unstyle(render(COLUMNS, [ROW, ROW], width))
    for whole in (ID, "REDISTRIBUTING", WORKER, "7%"):
        assert shown.count(whole) == 2
    assert " ".join(shown.split()).count("words") == 2


def test_what_folds_gives_way() -> None:
    shown = table([(ID, "one two three four five six seven")], 50)
    assert max(map(len, shown.splitlines())) <= 50
    assert shown.splitlines()[1].startswith(ID)
    assert [line.split()[-1] for line in shown.splitlines()[1:]] == ["four", "seven"]


def test_a_last_column_without_room_stands_below() -> None:
    shown = table([(ID, "one two three four"), (ID, "")], 35)
    assert shown.splitlines() == ["ID", "        TEXT", ID, "        one two three four", ID]


def test_wide_letters_and_line_breaks_keep_the_columns() -> None:
    shown = table([("日本", "x"), ("e\N{COMBINING ACUTE ACCENT}t\ne", "y")], None).splitlines()
    assert shown[1:] == ["日本  x", "e\N{COMBINING ACUTE ACCENT}t e  y"]
