"""``python -m niyanta.cli.demo``: a half-done job is carried on by another worker, with the proof."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from niyanta.client import Client
from niyanta.client.models import AuditEvent

__all__ = ["main"]

_STEPS = 400
_APP = """
import time
from niyanta import Context, Worker

worker = Worker(capacity=1)

@worker.workload("counting")
def counting(ctx: Context) -> dict:
    state = ctx.checkpoint or {"number": 0, "steps": []}
    number, steps = state["number"], state["steps"]
    while number < ctx.input_params["to"]:
        time.sleep(0.05)
        number += 1
        steps.append([ctx.attempt, number])
        ctx.report_progress(100 * number / ctx.input_params["to"], f"step {number}")
        if number % 10 == 0:
            ctx.save_checkpoint({"number": number, "steps": steps})
    return {"number": number, "steps": steps}
"""


def main() -> None:
    """Run the demonstration; exit 0 only when every line of the proof holds."""
    with tempfile.TemporaryDirectory(prefix="niyanta-demo-") as folder:
        here = Path(folder)
        (here / "demo_app.py").write_text(_APP)
        command = [sys.executable, "-m", "niyanta.cli.main", "dev", "--port", "0", "--grpc-port", "0"]
        command += ["--data-dir", str(here / "data"), "--app", "demo_app:worker", "--workers", "3"]
        with (here / "dev.log").open("wb") as log:
            dev = subprocess.Popen(command, cwd=here, stdout=log, stderr=log)
        try:
            holds = _show(here, dev)
        finally:
            dev.terminate()
            dev.wait()
    sys.exit(0 if holds else 1)


def _show(here: Path, dev: subprocess.Popen[bytes]) -> bool:
    click.echo("starting PostgreSQL, NATS, a coordinator and three workers …")
    deadline = time.monotonic() + 60
    while b"is ready at" not in (here / "dev.log").read_bytes():
        if dev.poll() is not None or time.monotonic() > deadline:
            raise click.ClickException((here / "dev.log").read_text())
        time.sleep(0.05)
    found = json.loads((here / "data" / "credentials.json").read_text())
    with Client(found["api_key"], found["base_url"]) as client:
        workload = client.workloads.submit("counting", {"to": _STEPS})
        killed_at, killed_worker = 0.0, ""
        for update in client.workloads.watch(workload.id):
            now = client.workloads.get(update.workload_id)
            if now.progress_percent % 10 == 0 and now.progress_percent:
                click.echo(f"\r{now.status:<15} {now.progress_percent:>3} %  on {now.worker_id or '–'}   ", nl=False)
            if not killed_worker and now.progress_percent >= 50 and now.worker_id:
                killed_worker = now.worker_id
                os.kill(_agent_of(here, killed_worker), signal.SIGKILL)
                killed_at = time.time()
                click.echo(f"\nkilled {killed_worker} (SIGKILL) at {now.progress_percent} %")
        click.echo()
        done = client.workloads.get(workload.id)
        return _prove(done.result_data or {}, list(client.workloads.audit(workload.id)), killed_at, done.status)


def _agent_of(here: Path, worker_id: str) -> int:
    """The process id of a worker, which it says in its log when it registers."""
    for name, pid in json.loads((here / "data" / "processes.json").read_text()).items():
        log = here / "data" / "logs" / f"{name}.log"
        if name != "coordinator" and worker_id in log.read_text():
            return int(pid)
    raise click.ClickException(f"no process is {worker_id}")


def _prove(result: dict[str, Any], audit: list[AuditEvent], killed_at: float, status: str) -> bool:
    lost = next((e for e in audit if e.event_type == "workload.redistributed"), None)
    again = next(
        (e for e in audit if lost and e.event_id > lost.event_id and e.event_type == "workload.started"), None
    )
    steps = result.get("steps", [])
    numbers = [number for _, number in steps]
    resumed = int(again.details.get("checkpoint_sequence", 0)) if again else 0
    twice = len(numbers) - len(set(numbers))
    lines = [
        ("completed", status == "COMPLETED", status),
        (
            "loss noticed after",
            lost is not None,
            f"{lost.timestamp.timestamp() - killed_at:.1f} s" if lost else "never",
        ),
        (
            "running elsewhere after",
            again is not None and again.timestamp.timestamp() - killed_at < 13,
            f"{again.timestamp.timestamp() - killed_at:.1f} s on {again.actor_id}" if again else "never",
        ),
        ("resumed from checkpoint", resumed > 0, str(resumed)),
        ("every step counted", numbers == list(range(1, _STEPS + 1)), f"{len(set(numbers))} of {_STEPS}"),
        ("acknowledged steps done twice", twice == 0, str(twice)),
        (
            "history without a gap",
            [e.event_id for e in audit] == list(range(1, len(audit) + 1)),
            f"{len(audit)} events",
        ),
    ]
    for what, holds, value in lines:
        click.echo(f"  {'ok ' if holds else 'NOT'}  {what:<32} {value}")
    return all(holds for _, holds, _ in lines)


if __name__ == "__main__":
    main()
