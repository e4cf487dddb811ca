"""What a worker's operator and its author say of the box."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from niyanta.domain.workers import Wall
from niyanta.errors import ConfigurationError
from niyanta.worker.box.hiding import inside
from niyanta.worker.box.landlock import WRITE
from niyanta.worker.box.outside import openings, scratch_parent
from niyanta.worker.box.policy import Policy, policy_by
from niyanta.worker.program import ports_of


def test_the_environment_adds_to_what_the_app_says() -> None:
    said = Policy(reads=("/usr",), closed_ports=(4222,))
    environment = {"NIYANTA_HANDLERS_READ": "/etc:/bin", "NIYANTA_CLOSED_PORTS": "5432 4222", "NIYANTA_HIDDEN": "/x"}
    found = policy_by(said, environment)
    assert found.reads == tuple(map(os.path.realpath, ("/usr", "/etc", "/bin")))
    assert found.closed_ports == (4222, 5432)
    assert "/x" in found.hidden
    assert found.wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NIYANTA_CLOSED_PORTS", "70000"),
        ("NIYANTA_CLOSED_PORTS", "http"),
        ("NIYANTA_BOX", "no"),
        ("NIYANTA_HANDLERS_WRITE", "here"),
        ("NIYANTA_HIDDEN", "./x"),
    ],
)
def test_what_can_t_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        policy_by(Policy(), {name: value})


@pytest.mark.parametrize("words", ["100000", "a-b", "5-4", "0-100", "-5", "1-4294967295", "1-2-3", "1 - 2", "²-³"])
def test_what_is_no_range_of_user_ids_is_refused(words: str) -> None:
    with pytest.raises(ConfigurationError, match="--attempt-uids"):
        policy_by(Policy(), {"NIYANTA_WORKER_ATTEMPT_UIDS": words})


def test_user_ids_are_the_operator_s_to_give() -> None:
    environment = {"NIYANTA_WORKER_ATTEMPT_UIDS": "100000-100063"}
    assert policy_by(Policy(), environment).users == (100000, 100063)
    assert policy_by(Policy(users=(1, 2)), environment).users == (1, 2)
    assert policy_by(Policy(), {}).users == ()


def test_it_comes_through_a_command_line() -> None:
    policy = Policy(
        reads=("/a",),
        closed_ports=(1,),
        users=(5, 9),
        user=7,
        strict=True,
        network=False,
        walls=(Wall.FILES, Wall.CALLS),
    )
    assert Policy.decode(policy.encode()) == policy


def test_the_broker_s_ports_are_those_of_its_addresses() -> None:
    assert ports_of("nats://a:4222,tls://user:pass@b:5222, c") == [4222, 5222, 4222]


def test_what_is_hidden_is_left_out_of_what_is_open_around_it(tmp_path: Path) -> None:
    for name in ("a", ".niyanta", "b"):
        (tmp_path / name).mkdir()
    policy = Policy(writes=(str(tmp_path),), hidden=(str(tmp_path / ".niyanta"),))
    ours = {path for path, rights in openings(policy, []) if rights == WRITE}
    assert ours == {str(tmp_path / "a"), str(tmp_path / "b")}
    covered = {path for path, rights in openings(policy, [], policy.hidden) if rights == WRITE}
    assert covered == {str(tmp_path)}
    policy = Policy(writes=(str(tmp_path),), hidden=(str(tmp_path / "nowhere"),))
    assert str(tmp_path) in dict(openings(policy, [])), "nothing is there to be left out"


def test_attempts_folders_aren_t_made_where_attempts_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert scratch_parent(Policy()) == str(tmp_path)
    found = scratch_parent(Policy(writes=(os.path.realpath(tmp_path),)))
    assert found is not None
    assert inside([found], [str(tmp_path)]) == []
