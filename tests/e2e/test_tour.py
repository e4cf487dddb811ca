"""README's tour, typed line by line as a newcomer would, and what it claims looked for in what is shown."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from processes import until_gone

ROOT = Path(__file__).resolve().parents[2]
_READY_SECONDS = 120.0
_END = "~end of what was typed~"


def blocks() -> list[tuple[str, str]]:
    """Language and text of each code block of the tour."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = readme.partition("\n## A tour of five minutes\n")[2].partition("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", tour, re.MULTILINE | re.DOTALL)


def environment() -> dict[str, str]:
    """A newcomer's, but for the ports, as others may run here; and with this tree's programs first."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("NIYANTA_") and k != "VIRTUAL_ENV"}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    return {**own, "PATH": programs, "NIYANTA_DEV_PORT": "0", "NIYANTA_DEV_GRPC_PORT": "0", "PYTHONUNBUFFERED": "1"}


class Shell:
    """A terminal in which lines are typed one after another."""

    def __init__(self, folder: Path) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.type("trap 'echo \"FAILED: $BASH_COMMAND\"' ERR")

    def type(self, lines: str) -> str:
        """What is shown; fails when a command does."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{lines}\necho; echo '{_END}'\n")
        self._bash.stdin.flush()
        shown: list[str] = []
        while (line := self._bash.stdout.readline()).rstrip() != _END:
            assert line, "the shell has ended:\n" + "".join(shown)
            shown.append(line)
        text = "".join(shown)
        assert "FAILED: " not in text, text
        return text

    def close(self) -> None:
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.close()
        self._bash.wait(timeout=30)
        self._bash.stdout.close()


@contextmanager
def first_terminal(command: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command in the foreground of another terminal, once it says that it is ready."""
    output = folder / f"terminal-{time.monotonic_ns()}.txt"
    with output.open("wb") as shown:
        running = subprocess.Popen(
            ["bash", "-c", f"exec {command.strip()}"],
            cwd=folder,
            env=environment(),
            stdout=shown,
            stderr=shown,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while b"is ready at" not in output.read_bytes():
            assert running.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield running
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


@contextmanager
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A ``niyanta dev`` of somebody else, older than the tour's; it has only the name."""
    other = subprocess.Popen(["bash", "-c", "exec -a 'niyanta dev' sleep 1000"])
    try:
        yield other
    finally:
        other.kill()
        other.wait()


def test_the_tour_does_what_it_says(tmp_path: Path) -> None:
    steps = iter(blocks())
    with bystander() as other:
        setup = Shell(ROOT)
        setup.type(next(steps)[1])
        setup.close()

        second = Shell(tmp_path)
        assert "hello.py and test_hello.py are written" in second.type(next(steps)[1])
        assert next(steps) == ("python", (tmp_path / "hello.py").read_text())

        start = next(steps)[1]
        with first_terminal(start, tmp_path) as dev:
            assert '{"greeting": "Hello, you!", "attempt": 1' in second.type(next(steps)[1])
            moved = second.type(next(steps)[1])
            paused_at = _field(moved.partition("PAUSED")[2], "checkpoint_sequence")
            assert re.search(r"status +PAUSED[\s\S]+status +PENDING[\s\S]+status +RUNNING", moved), moved
            assert _field(moved.rpartition("RUNNING")[2], "generation") == 2
            killed_at = _field(moved.rpartition("RUNNING")[2], "checkpoint_sequence")
            assert killed_at > paused_at >= 1
            everything = [psutil.Process(dev.pid), *psutil.Process(dev.pid).children(recursive=True)]
            assert len(everything) > 5
            second.type(next(steps)[1])
            assert dev.wait(10) == -signal.SIGKILL
            assert until_gone(everything[1:], 10) == []
        assert other.poll() is None

        assert next(steps)[1] == start
        with first_terminal(start, tmp_path) as dev:
            shown = second.type(next(steps)[1])
            assert "COMPLETED 100%" in shown
            history = shown.partition("EVENT")[2]
            resumed_from = re.search(r"redistributed .*checkpoint (\d+); worker_died", history)
            assert resumed_from is not None, shown
            assert int(resumed_from[1]) >= killed_at
            # It may have been meant for the other dead worker first, so its number may be more than one higher.
            again = re.search(rf"started +(\d+) .*checkpoint {resumed_from[1]}\n", history)
            assert again is not None, shown
            assert int(again[1]) > 2
            assert len(re.findall(r" step \d+", shown.partition("DETAILS")[2])) >= 30 - 2

            answers = [json for json in second.type(next(steps)[1]).splitlines() if json.startswith("{")]
            assert '"status":"PENDING"' in answers[0]
            assert '"workloads":[' in answers[0] + answers[-1]

            language, program = next(steps)
            assert language == "python"
            assert "'greeting': 'Hello, Python!'" in second.type(f"python - <<'END'\n{program}END")

            assert next(steps, None) is None
            children = psutil.Process(dev.pid).children(recursive=True)
            dev.send_signal(signal.SIGINT)
            assert dev.wait(60) == 0
            assert until_gone(children, 10) == []
        second.close()
        assert other.poll() is None


def _field(shown: str, name: str) -> int:
    """The first figure that stands behind a name."""
    found = re.search(rf"^{name} +(\d+)$", shown, re.MULTILINE)
    assert found is not None, shown
    return int(found[1])


def test_the_written_test_passes(tmp_path: Path) -> None:
    niyanta = [sys.executable, "-m", "niyanta.cli.main"]
    subprocess.run([*niyanta, "new", "greet"], cwd=tmp_path, env=environment(), check=True, capture_output=True)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_greet.py"]
    done = subprocess.run(run, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
