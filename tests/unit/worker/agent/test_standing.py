"""Types whose box would have holes aren't served."""

from __future__ import annotations

import pytest

from niyanta import Context, SyncContext, Worker
from niyanta.domain.workers import Wall
from niyanta.errors import ConfigurationError
from niyanta.worker.agent.standing import missing_walls, refuse_unkeepable

worker = Worker()


@worker.workload("strict", isolation="strict")
def strict(ctx: SyncContext) -> None:
    pass


@worker.workload("silent", network="none")
def silent(ctx: SyncContext) -> None:
    pass


@worker.workload("plain")
def plain(ctx: SyncContext) -> None:
    pass


@worker.workload("inline", isolation="inline")
async def inline(ctx: Context) -> None:
    pass


@pytest.mark.parametrize("wall", [wall for wall in Wall if wall is not Wall.USER])
def test_a_strict_type_needs_every_wall_and_the_error_names_the_missing_one(wall: Wall) -> None:
    with pytest.raises(ConfigurationError, match=rf"'strict' is isolation='strict'.*missing {wall}"):
        refuse_unkeepable([worker.handlers["strict"]], set(Wall) - {wall})


def test_a_strict_type_needs_no_user_id_as_that_is_the_operator_s_choice() -> None:
    refuse_unkeepable([worker.handlers["strict"]], set(Wall) - {Wall.USER})
    assert missing_walls(worker.handlers["strict"], set(Wall) - {Wall.USER}) == [Wall.USER]


def test_with_every_wall_all_are_served() -> None:
    refuse_unkeepable(worker.handlers.values(), list(Wall))


def test_a_type_without_a_network_needs_a_machine_that_gives_one() -> None:
    with pytest.raises(ConfigurationError, match="'silent' is network='none'"):
        refuse_unkeepable([worker.handlers["silent"]], set(Wall) - {Wall.NETWORK})


def test_others_are_served_anywhere_and_say_what_is_missing() -> None:
    refuse_unkeepable([worker.handlers["plain"], worker.handlers["inline"]], [])
    assert missing_walls(worker.handlers["plain"], set(Wall) - {Wall.PORTS}) == [Wall.PORTS]
    assert missing_walls(worker.handlers["inline"], list(Wall)) == list(Wall)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"network": "some"}, "network of 'x' must be 'full' or 'none', not 'some'"),
        ({"isolation": "loose"}, "isolation of 'x' must be 'process', 'strict' or 'inline', not 'loose'"),
    ],
)
def test_what_can_t_be_is_said(options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):

        @Worker().workload("x", **options)  # type: ignore[arg-type]
        def handler(ctx: SyncContext) -> None:
            pass
