"""``python -m niyanta.cli.demo``: a half-done transcode is carried on by another worker, with the proof.

It starts ``niyanta dev`` with three workers, submits a real video, kills the agent that works on it half way, and
then reads from the audit trail, the logs and the output what became of it. Exit 0 only when everything holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from niyanta.cli.history import HISTORY_COLUMNS, history_rows
from niyanta.cli.output import echo, marked_up
from niyanta.cli.proof import Evidence, Kill, claims, decode_whole
from niyanta.cli.table import Column, render
from niyanta.client import Client
from niyanta.client.models import Workload
from niyanta.client.status import Status

__all__ = ["command"]

_WORKERS = 3
_READY_SECONDS = 60.0
_STOP_SECONDS = 60.0
_SHORTEST_SECONDS = 30  # or it is done before it can be killed half way
_PLAIN_WIDTH = 150  # where no terminal sets one


@click.command()
@click.option(
    "--video",
    envvar="VIDEO",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="A video of your own; one is made when none is given.",
)
@click.option("--output", type=click.Path(dir_okay=False, resolve_path=True, path_type=Path), help="Keep the result.")
@click.option("--seconds", default=75, show_default=True, type=click.IntRange(60, 3600), help="Of a made video.")
@click.option("--resolution", default="480p", show_default=True)
def command(video: Path | None, output: Path | None, seconds: int, resolution: str) -> None:
    """Kill a worker half way through a transcode, and prove that nothing was lost."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PLAIN_WIDTH)
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="niyanta-demo-") as folder:
        demo = _Demo(console, Path(folder), video, output, interrupted)
        with demo.system(seconds), demo.client() as client:
            holds = demo.run(client, resolution)
    holds = holds and demo.stopped_well
    console.print(f"\n{'[green]Everything holds[/].' if holds else '[red]NOT everything holds[/].'}", end=" ")
    running = "nothing is left running" if demo.stopped_well else "[red]not everything stopped in order[/]"
    console.print(f"{time.monotonic() - began:.0f} s in all; {running}.")
    sys.exit(0 if holds else 1)


class _Demo:
    def __init__(
        self, console: Console, folder: Path, video: Path | None, output: Path | None, interrupted: threading.Event
    ) -> None:
        self.console = console
        self.interrupted = interrupted
        self.folder = folder
        self.data_dir = folder / "data"
        files = folder / "files"  # all that the workers may open; what else is here they needn't
        files.mkdir()
        self.video = video or files / "input.mp4"
        self.own_video = video is not None
        self.output = output or files / "output.mp4"
        self.stopped_well = False
        self.source_seconds = 0.0
        self.sound = False

    @contextlib.contextmanager
    def system(self, seconds: int) -> Iterator[None]:
        """``niyanta dev``, from start to an orderly end, whatever happens between; the video is made meanwhile."""
        log = self.folder / "dev.log"
        argv = [sys.executable, "-m", "niyanta.cli.main", "dev", "--port", "0", "--grpc-port", "0"]
        argv += ["--data-dir", str(self.data_dir), "--workers", str(_WORKERS)]
        # A killed agent can't remove its scratch directory; here it goes with everything else.
        scratch = self.folder / "tmp"
        scratch.mkdir()
        folders = {str(path.parent) for path in (self.video, self.output)}
        environment = {**os.environ, "TMPDIR": str(scratch), "EXAMPLES_ROOT": ":".join(folders)}
        with log.open("wb") as output:
            dev = subprocess.Popen(argv, env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            self._look_at_source(seconds)
            with self.console.status("starting PostgreSQL, NATS, a coordinator and three workers …"):
                self._until_ready(dev, log)
            self._say(f"PostgreSQL, NATS, a coordinator and {_WORKERS} workers are running")
            yield
        finally:
            with _undisturbed(), self.console.status("stopping everything …"):
                started = self._processes()
                dev.terminate()
                try:
                    dev.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    dev.kill()
                self.stopped_well = dev.wait() == 0 and not any(
                    Path(f"/proc/{pid}").exists() for pid in started.values()
                )

    def _until_ready(self, dev: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while b"is ready at" not in log.read_bytes():
            if dev.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(log.read_text(errors="replace").strip() or "niyanta dev would not start")
            time.sleep(0.05)

    def _processes(self) -> dict[str, int]:
        """Process ids by name of the system and of all that it has started; none before it is ready."""
        try:
            found: dict[str, int] = json.loads((self.data_dir / "processes.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def client(self) -> Client:
        found = json.loads((self.data_dir / "credentials.json").read_text())
        return Client(found["api_key"], found["base_url"])

    def _say(self, line: str) -> None:
        self.console.print(f"[green]✓[/] {line}")

    def run(self, client: Client, resolution: str) -> bool:
        """Submit, kill, wait, prove."""
        params = {"video_url": str(self.video), "output_url": str(self.output), "resolution": resolution}
        workload = client.workloads.submit("video_transcoding", {**params, "segment_seconds": 5})
        self._say(f"submitted {workload.id}: video_transcoding to {resolution}")
        done, kill = self._follow(client, workload.id)
        audit = client.workloads.audit(workload.id)
        output = None
        if done.status is Status.COMPLETED:
            with self.console.status("decoding the output from end to end …"):
                output = decode_whole(self.output)
        evidence = Evidence(
            kill,
            done,
            audit,
            list(client.workloads.iterate_logs(workload.id)),
            output,
            self.source_seconds,
            self.sound,
        )
        lines = claims(evidence)
        marks = {True: click.style("✓", fg="green"), False: click.style("NOT", fg="red")}
        rows = [(marks[line.holds], line.what, line.value) for line in lines]
        self.console.print("\nProof", style="italic")
        echo(render((Column(""), Column("what"), Column("value", folds=True)), rows))
        self.console.print()
        self.console.print("Audit trail", style="italic")
        echo(render(HISTORY_COLUMNS, history_rows(audit)))
        return all(line.holds for line in lines)

    def _look_at_source(self, seconds: int) -> None:
        """Make the video where none was given; note its length and whether it has sound."""
        from niyanta.examples.samples import make_video
        from niyanta.examples.storage import LocalPlace
        from niyanta.examples.video.source import Source

        if not self.own_video:
            with self.console.status(f"making a video of {seconds} s with a moving picture and sound …"):
                make_video(self.video, seconds=seconds)
        with Source(LocalPlace(self.video, "--video", [self.video.resolve()])) as source:
            picture = source.video.codec_context
            self.source_seconds, self.sound = source.duration_seconds, source.audio is not None
            shape = f"{picture.width}x{picture.height}, {'with' if self.sound else 'without'} sound"
            whose = "your" if self.own_video else "made a"
            if self.source_seconds < _SHORTEST_SECONDS:
                raise click.BadParameter(f"must be at least {_SHORTEST_SECONDS} s long", param_hint="--video")
            self._say(f"{whose} video: {self.source_seconds:.0f} s, {shape}")

    def _follow(self, client: Client, workload_id: str) -> tuple[Workload, Kill | None]:
        """Show it live, and kill its worker's agent when it is half done."""
        kill: Kill | None = None
        version = 0
        with _Display(self.console) as display:
            while True:
                if self.interrupted.is_set():  # Python ignores what is raised while it cleans objects up
                    raise KeyboardInterrupt
                now = client.workloads.get(workload_id, wait_seconds=1, version=version)
                percent = now.progress_percent or 0
                if kill is None and now.status is Status.RUNNING and percent >= 50 and now.worker_id:
                    kill = self._kill(now.worker_id, percent, now.progress_message)
                    display.say(f"[red]✗[/] killed {now.worker_id} (SIGKILL) at {percent} %")
                silent = kill is not None and now.worker_id == kill.worker_id and now.status is Status.RUNNING
                display.show(now, "its worker is dead; another is about to go on with it" if silent else None)
                if now.is_terminal:
                    return now, kill
                version = now.version or 0

    def _kill(self, worker_id: str, percent: int, message: str | None) -> Kill:
        os.kill(self._agent_of(worker_id), signal.SIGKILL)
        return Kill(datetime.now(UTC), worker_id, percent, message or "")

    def _agent_of(self, worker_id: str) -> int:
        """The process id of a worker, which it says in its log when it registers."""
        for name, pid in self._processes().items():
            log = self.data_dir / "logs" / f"{name}.log"
            if name.startswith("worker-") and worker_id in log.read_text(errors="replace"):
                return int(pid)
        raise click.ClickException(f"no process is {worker_id}")


class _Display:
    """A live bar on a terminal; a line for each change elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._line: TaskID | None = None
        self._said = ""

    def __enter__(self) -> _Display:
        self._bar.start()
        self._line = self._bar.add_task("", total=100, message="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line)

    def show(self, now: Workload, instead: str | None) -> None:
        """How far it is; ``instead`` of its own message where there is more to say."""
        worker = f" on {now.worker_id}" if now.worker_id else ""
        message = f"{instead or now.progress_message or now.pending_reason or ''}{'' if instead else worker}"
        if self._console.is_terminal and self._line is not None:
            self._bar.update(
                self._line, description=marked_up(now.status), completed=now.progress_percent or 0, message=message
            )
            return
        said = f"{now.status} {(now.progress_percent or 0) // 10 * 10} %{worker}"
        if said != self._said:
            self._said = said
            self._console.print(f"  {said}")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C interrupt the cleaning up."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    command()
