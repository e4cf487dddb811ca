"""Runners that are forked from one template: what they share, what they don't, and apps that can't be forked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from niyanta.wire.messages import Completed, Started
from niyanta.worker.box.policy import Policy
from niyanta.worker.launcher.forks import Forked, Template, Unfit
from support.station import station


@pytest.fixture
def app(tmp_path: Path) -> Callable[[str], str]:
    """Writes an app; gives its reference."""

    def write(code: str) -> str:
        path = tmp_path / f"app_{os.urandom(4).hex()}.py"
        imports = f"import os, random\nfrom niyanta import Context, Worker\nhere = {str(tmp_path)!r}\n"
        imports += f"FORKS = os.getpid() != {os.getpid()}\n"  # the test's own process imports the app as well
        path.write_text(imports + textwrap.dedent(code), encoding="utf-8")
        return f"{path}:worker"

    return write


SIMPLE = """
worker = Worker()
with open(f"{here}/imports", "a") as file:
    print(os.getpid(), file=file)

@worker.workload("look")
def look(ctx: Context) -> dict:
    return {"random": random.random(), "pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0)}
"""


async def test_the_app_is_imported_once_for_all_attempts(app: Callable[[str], str], tmp_path: Path) -> None:
    async with station(tmp_path / "scratch", app=app(SIMPLE)) as here:
        seen = [(await here.run("look")).result for _ in range(5)]
    imports = {int(line) for line in (tmp_path / "imports").read_text().split()}
    assert len(imports - {os.getpid()}) == 1, "the template's, beside the one of the agent"
    assert len({one["pid"] for one in seen}) == 5
    assert all(one["session"] == one["pid"] for one in seen)


async def test_each_attempt_has_random_numbers_of_its_own(app: Callable[[str], str], tmp_path: Path) -> None:
    async with station(tmp_path / "scratch", app=app(SIMPLE)) as here:
        assert len({(await here.run("look")).result["random"] for _ in range(4)}) == 4


async def test_the_launcher_is_the_parent_of_what_was_forked(app: Callable[[str], str], tmp_path: Path) -> None:
    async with station(tmp_path / "scratch", app=app(SIMPLE)) as here:
        parent = psutil.Process((await here.run("look")).result["parent"])
        assert "niyanta.worker.launcher" in parent.cmdline()


async def test_the_launcher_is_the_parent_of_all_that_were_forked_together(
    app: Callable[[str], str], tmp_path: Path
) -> None:
    async with station(tmp_path / "scratch", app=app(SIMPLE)) as here:
        records = await asyncio.gather(*(here.run("look", seconds=60) for _ in range(40)))
    assert len({record.result["parent"] for record in records}) == 1


async def test_what_is_written_to_a_file_that_the_import_has_opened_is_there_at_the_end(
    app: Callable[[str], str], tmp_path: Path
) -> None:
    code = """
    worker = Worker()
    if FORKS:
        book = open(f"{here}/book", "a")
        book.write("import ")

    @worker.workload("write")
    def write(ctx: Context) -> None:
        book.write("attempt ")
    """
    async with station(tmp_path / "scratch", app=app(code)) as here:
        for _ in range(3):
            await here.run("write")
    assert (tmp_path / "book").read_text() == "import attempt attempt attempt "


async def test_hooks_run_in_the_attempt_s_process_first(app: Callable[[str], str], tmp_path: Path) -> None:
    code = """
    worker = Worker()
    made_by = None

    @worker.on_fork
    def make_anew():
        global made_by
        made_by = os.getpid()

    @worker.workload("look")
    async def look(ctx: Context) -> dict:
        return {"made_by": made_by, "pid": os.getpid()}
    """
    async with station(tmp_path / "scratch", app=app(code)) as here:
        result = (await here.run("look")).result
    assert result["made_by"] == result["pid"]


async def test_a_hook_that_fails_is_told_as_the_attempt_s_failure(app: Callable[[str], str], tmp_path: Path) -> None:
    code = """
    worker = Worker()
    worker.on_fork(lambda: 1 / 0)

    @worker.workload("look")
    def look(ctx: Context) -> None:
        pass
    """
    async with station(tmp_path / "scratch", app=app(code)) as here:
        end = (await here.run("look")).end
    assert "ZeroDivisionError" in end.message
    assert not end.permanent


UNFIT = {
    "threads": (
        "import threading\nif FORKS: threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "the app has 1 threads running after its import",
    ),
    "socket": ("import socket\nkept = FORKS and socket.socket()", "the app has a socket open after its import"),
}


@pytest.mark.parametrize("kind", UNFIT)
async def test_an_app_that_can_t_be_forked_gets_interpreters(
    kind: str, app: Callable[[str], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code, reason = UNFIT[kind]
    with caplog.at_level(logging.WARNING):
        async with station(tmp_path / "scratch", app=app(code + "\n" + SIMPLE)) as here:
            first, second = [(await here.run("look")).result for _ in range(2)]
    assert first["pid"] != second["pid"]
    assert f"worker.no_forks: {reason}; each attempt starts an interpreter of its own" in caplog.messages


async def test_attempts_go_on_when_the_template_is_killed(app: Callable[[str], str], tmp_path: Path) -> None:
    code = (
        SIMPLE
        + """
import time

@worker.workload("hold")
def hold(ctx: Context) -> str:
    while not os.path.exists(f"{here}/go on"):
        time.sleep(0.01)
    return "held"
"""
    )
    async with station(tmp_path / "scratch", app=app(code)) as here:
        launcher = psutil.Process((await here.run("look")).result["parent"])
        _, held = here.start("hold")
        await held.until(Started)
        template = min(launcher.children(), key=lambda child: child.create_time())
        template.kill()
        assert "pid" in (await here.run("look")).result
        (tmp_path / "go on").touch()
        await held.until(Completed)


# --- the launcher's side, alone -------------------------------------------------------------------


@pytest.fixture
def started(app: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., Template]]:
    """Starts templates; ends them after the test."""
    templates = []

    def start(code: str = SIMPLE, **options: Any) -> Template:
        argv = [sys.executable, "-m", "niyanta.worker.runner.template", f'["{app(code)}"]', Policy().encode()]
        templates.append(Template(argv, dict(os.environ), str(tmp_path), **options))
        return templates[-1]

    yield start
    for template in templates:
        template.close(1.0)
        os.waitpid(template.pid, 0)


def heard(template: Template, seconds: float = 20.0) -> list[Forked | Unfit]:
    """Wait until the template has said something of interest."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        select.select([template.socket], [], [], 0.1)
        if said := template.receive():
            return said
    raise AssertionError("the template said nothing")


def asked(template: Template, slot: str) -> socket.socket:
    """Ask for a fork; gives our end of its control channel."""
    ours, theirs = socket.socketpair()
    template.ask(slot, [], [theirs.detach(), os.open(os.devnull, os.O_WRONLY), os.open(os.devnull, os.O_WRONLY)])
    template.flush()
    return ours


def environment_of(pid: int) -> dict[str, str]:
    return psutil.Process(pid).environ()


def test_a_fork_s_environment_names_its_slot_as_others_see_it(started: Callable[..., Template]) -> None:
    template = started()
    with asked(template, "0123456789ab") as control:
        [forked] = heard(template)
        assert isinstance(forked, Forked)
        control.settimeout(20)
        control.recv(100)  # it is ready, so all of that is done
        assert environment_of(forked.pid)["NIYANTA_SLOT"] == "0123456789ab"


def test_a_template_that_dies_later_is_started_again(started: Callable[..., Template]) -> None:
    template = started(young_seconds=0.0)
    with asked(template, "a" * 12):
        assert isinstance(heard(template)[0], Forked)
    first = template.pid
    template.kill()
    os.waitpid(first, 0)
    select.select([template.socket], [], [], 20)  # the process between may have a moment left
    assert template.receive() == []
    assert template.pid != first
    with asked(template, "b" * 12):
        [again] = heard(template)
        assert isinstance(again, Forked)
        assert again.error is None


def test_requests_under_way_when_it_dies_are_answered(started: Callable[..., Template]) -> None:
    template = started(young_seconds=0.0)
    with asked(template, "a" * 12):
        assert isinstance(heard(template)[0], Forked)
    os.kill(template.pid, signal.SIGSTOP)
    with asked(template, "b" * 12):
        first = template.pid
        template.kill()
        os.waitpid(first, 0)
        assert heard(template) == [Forked("b" * 12, -1, "the process to fork from has ended")]


def test_a_template_that_dies_young_gives_its_requests_back(started: Callable[..., Template]) -> None:
    template = started("import os; os._exit(3)\nworker = None")
    with asked(template, "a" * 12):
        [unfit] = heard(template)
        assert isinstance(unfit, Unfit)
        assert [slot for slot, _, _ in unfit.slots] == ["a" * 12]
        for _, fds, _ in unfit.slots:
            for fd in fds:
                os.close(fd)


COUNTING = """
import json, socket, sys
launcher = socket.socket(fileno=int(sys.argv[-1]))
launcher.send(b'{"ready": true}')
while requests := launcher.recv(1 << 17):
    launcher.send(json.dumps({"slot": "together", "pid": len(json.loads(requests))}).encode())
"""


def test_requests_that_wait_are_made_together(tmp_path: Path) -> None:
    template = Template([sys.executable, "-c", COUNTING], dict(os.environ), str(tmp_path))
    with contextlib.ExitStack() as stack:
        for slot in "abc":
            stack.enter_context(asked(template, slot * 12))  # it isn't ready yet
        assert heard(template) == [Forked("together", 3)]
    template.close(1.0)
    os.waitpid(template.pid, 0)


async def test_many_attempts_at_once_from_one_template(app: Callable[[str], str], tmp_path: Path) -> None:
    async with station(tmp_path / "scratch", app=app(SIMPLE)) as here:
        records = await asyncio.gather(*(here.run("look", seconds=60) for _ in range(40)))
    assert len({record.result["pid"] for record in records}) == 40
