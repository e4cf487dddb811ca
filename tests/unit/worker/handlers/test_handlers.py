"""What handlers take and give."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pytest

from niyanta import ConfigurationError, PermanentError, Worker
from niyanta.domain.limits import MAX_CHECKPOINT_BYTES
from niyanta.errors import CheckpointError
from niyanta.wire.messages import Assignment, AttemptRef, Progressed
from niyanta.worker.handlers.context import SyncContext
from niyanta.worker.handlers.handler import encode_result, make_handler
from niyanta.worker.handlers.link import Ask
from niyanta.worker.handlers.state import decode_state, encode_state


class AsStruct(msgspec.Struct):
    path: str
    size: int = 3


@dataclasses.dataclass
class AsDataclass:
    path: str
    size: int = 3


class AsTypedDict(TypedDict):
    path: str


ITSELF: list[Any] = []
ITSELF.append(ITSELF)


@pytest.mark.parametrize("kind", [AsStruct, AsDataclass, AsTypedDict])
def test_typed_parameters_are_checked_and_described(kind: Any) -> None:
    def handle(ctx: Any, params: Any) -> None: ...

    handle.__annotations__["params"] = kind
    handler = make_handler("x", handle, "process", False)
    assert handler.input_schema is not None
    assert "path" in str(handler.input_schema)
    params = handler.arguments(None, b'{"path": "a"}')[1]
    assert (params["path"] if isinstance(params, dict) else params.path) == "a"
    with pytest.raises(PermanentError, match="path"):
        handler.arguments(None, b"{}")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(None, b"{}"), ({"a": 1}, b'{"a":1}'), ("x", b'{"value":"x"}'), ([1], b'{"value":[1]}'), (AsStruct("a"), None)],
)
def test_results(value: Any, encoded: bytes | None) -> None:
    assert encode_result(value) == (encoded if encoded is not None else b'{"path":"a","size":3}')


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"x": float("nan")}, "result.x is nan"),
        ({"x": {1, 2}}, "result.x is a set"),
        ({1: "x"}, "not a string"),
        ({"x": b"raw"}, "result.x is a bytes"),
        ({"x": object()}, "not JSON"),
        ("x" * (2 << 20), "the limit is"),
        ({"x": [1, float("inf")]}, r"result.x\[1\] is inf"),
        ({"x": AsStruct("a", 2**63)}, "result.x.size is an integer beyond 64 bits"),
        (AsDataclass("a", float("nan")), "result.size is nan"),  # type: ignore[arg-type]
        (ITSELF, "nested deeper than 64 levels"),
    ],
)
def test_results_that_json_can_not_hold(value: Any, says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        encode_result(value)


@pytest.mark.parametrize("state", [None, 3, {"a": [1]}, "text", b"\x00raw"])
def test_checkpoints_come_back_as_they_went(state: Any) -> None:
    assert decode_state(*encode_state(state)) == state


def test_checkpoints_have_a_limit() -> None:
    with pytest.raises(CheckpointError, match="the limit is 10485760"):
        encode_state(b"x" * (11 << 20))
    with pytest.raises(CheckpointError, match=r"state\.x is a object"):
        encode_state({"x": object()})


def test_a_worker_says_what_is_wrong_with_it() -> None:
    worker = Worker(capacity=1)

    @worker.workload("once")
    def once(ctx: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="twice"):
        worker.workload("once")(once)
    with pytest.raises(ConfigurationError, match="async handler"):
        worker.workload("inline", isolation="inline")(once)
    with pytest.raises(ConfigurationError, match="'process', 'strict' or 'inline'"):
        worker.workload("other", isolation="thread")(once)
    with pytest.raises(ConfigurationError, match="no signal"):
        worker.command("tool", ["true"], checkpoint_signal="SIGNOTHING")
    with pytest.raises(ConfigurationError, match="at least 1"):
        Worker(capacity=0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tags": {"gpu": True}}, "True is none"),
        ({"tags": {1: "x"}}, "1 is none"),
        ({"tags": {"x": "a\0"}}, "is none"),
        ({"tags": {"x": "y" * 300}}, "at most 256"),
        ({"tags": ["x"]}, "map text to text"),
        ({"tags": {str(n): "" for n in range(65)}}, "64 tags"),
        ({"id": "a.b"}, "letters, digits"),
        ({"id": ""}, "letters, digits"),
        ({"id": "x" * 64}, "1 to 63"),
        ({"capacity": 2.5}, "at least 1 and at most 10000"),
        ({"capacity": True}, "at least 1"),
    ],
)
def test_arguments_of_a_worker(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Worker(**options)


def test_handlers_that_can_not_work_are_refused() -> None:
    async def inline(ctx: Any) -> None: ...

    def keyword(ctx: Any, *, params: Any) -> None: ...

    def three(ctx: Any, a: Any, b: Any) -> None: ...

    def forward(ctx: Any, params: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    worker = Worker()
    with pytest.raises(ConfigurationError, match="needs isolation='process'"):
        worker.workload("x", isolation="inline", exclusive=True)(inline)
    for function in (keyword, three):
        with pytest.raises(ConfigurationError, match=r"\(ctx\) or \(ctx, params\)"):
            worker.workload("x")(function)
    with pytest.raises(ConfigurationError, match="annotations of 'x'"):
        worker.workload("x")(forward)
    with pytest.raises(ConfigurationError, match="a workload type is 1 to 100 letters"):
        worker.workload("")(inline)
    with pytest.raises(ConfigurationError, match="list of texts"):
        worker.command("x", "echo")


def test_a_command_s_relative_path_starts_where_the_worker_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "tool").write_text("#!/bin/sh\npwd > where\n")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    worker = Worker()
    worker.command("x", ["./tool"])
    ctx = context(Recorded())
    ctx.work_dir = tmp_path / "work"
    assert worker.handlers["x"].function(ctx) == {}
    assert (tmp_path / "work" / "where").read_text().strip() == str(tmp_path / "work")


def test_texts_in_results_are_made_fit() -> None:
    assert encode_result({"a\0": ["\ud800x"]}) == '{"a\ufffd":["\ufffdx"]}'.encode()


class Recorded:
    """A link that keeps what it is given."""

    waiting: Ask | None = None
    cancelled = False
    trace = None
    most_checkpoint_bytes = MAX_CHECKPOINT_BYTES

    def __init__(self) -> None:
        self.reports: list[Any] = []
        self.saves: list[bytes] = []

    def report(self, body: Any) -> None:
        self.reports.append(body)

    def save_now(self, data: bytes, encoding: str) -> int:
        self.saves.append(data)
        return len(self.saves)

    async def save(self, data: bytes, encoding: str) -> int:
        return self.save_now(data, encoding)


def context(link: Recorded, **options: Any) -> SyncContext:
    assignment = Assignment(AttemptRef("c", "wl_1", 2), "x", b"{}", **options)
    return SyncContext(assignment, link, None, Path)


def test_progress_begins_at_the_checkpoint_and_never_goes_back() -> None:
    link = Recorded()
    ctx = context(link, progress_percent=40)
    for percent in (10, 40, 41.9, 41, float("nan"), -3, float("inf"), 1000):
        ctx.report_progress(percent)
    ctx.report_progress(5, "a\0b")
    assert link.reports == [Progressed(41), Progressed(100), Progressed(100, "a\ufffdb")]
    with pytest.raises(TypeError):
        ctx.report_progress("5")  # type: ignore[arg-type]


def test_a_checkpoint_is_offered_only_when_due() -> None:
    link = Recorded()
    ctx = context(link, checkpoint_interval_seconds=3600.0)
    assert ctx.offer_checkpoint(1) is None
    link.waiting = Ask.PAUSE
    assert ctx.offer_checkpoint(2) == 1
    link.waiting = None
    assert ctx.offer_checkpoint(3) is None
    assert link.saves == [b"2"]
    assert context(link, checkpoint_interval_seconds=0.0).offer_checkpoint(4) == 2


def test_log_lines_are_levelled_and_made_fit() -> None:
    link = Recorded()
    ctx = context(link)
    ctx.log.debug("d")
    ctx.log.critical("\ud800%s", "x" * 9000)
    try:
        raise ValueError("why")
    except ValueError:
        ctx.log.exception("e")
    levels = [line.level for line in link.reports]
    assert levels == ["DEBUG", "ERROR", "ERROR"]
    assert link.reports[1].message.startswith("\ufffdxxx")
    assert len(link.reports[1].message.encode()) <= 8192
    assert "ValueError: why" in link.reports[2].message
