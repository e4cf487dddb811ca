"""``worker.command``: any program as a handler.

The program finds its input in files named by the environment, reports by lines of JSON on its standard output, and
keeps its checkpoint as a file (docs/commands.md).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from niyanta.errors import ConfigurationError, PermanentError, TransientError
from niyanta.worker.context import Context

__all__ = ["command_handler"]

_POLL_SECONDS = 0.2


def command_handler(argv: list[str], checkpoint_signal: str | None) -> Callable[[Context], Any]:
    """A sync handler that runs a program.

    Raises:
        ConfigurationError: No program, or no such signal.
    """
    if not argv:
        raise ConfigurationError("a command needs at least the program's name")
    number = None
    if checkpoint_signal is not None:
        number = getattr(signal, checkpoint_signal, None)
        if not isinstance(number, signal.Signals):
            raise ConfigurationError(f"there is no signal '{checkpoint_signal}'")

    def run(ctx: Context) -> Any:
        return _Run(ctx, argv, number).run()

    return run


class _Run:
    """One run of the program."""

    def __init__(self, ctx: Context, argv: list[str], checkpoint_signal: signal.Signals | None) -> None:
        self._ctx = ctx
        self._argv = argv
        self._signal = checkpoint_signal
        self._work = ctx.work_dir
        self._error: dict[str, Any] | None = None

    def run(self) -> Any:
        ctx, work = self._ctx, self._work
        input_file, checkpoint_file = work / "input.json", work / "checkpoint"
        result_file = work / "result.json"
        input_file.write_text(json.dumps({"input_params": ctx.input_params, "config": ctx.config}))
        if ctx.checkpoint is not None:
            state = ctx.checkpoint
            checkpoint_file.write_bytes(state if isinstance(state, bytes) else msgspec.json.encode(state))
        environment = {
            **os.environ,
            "NIYANTA_WORKLOAD_ID": ctx.workload_id,
            "NIYANTA_ATTEMPT": str(ctx.attempt),
            "NIYANTA_WORK_DIR": str(work),
            "NIYANTA_INPUT_FILE": str(input_file),
            "NIYANTA_CHECKPOINT_FILE": str(checkpoint_file),
            "NIYANTA_RESULT_FILE": str(result_file),
        }
        try:
            process = subprocess.Popen(
                self._argv,
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as exc:
            raise PermanentError(f"'{self._argv[0]}' can't be started: {exc}") from exc
        errors = threading.Thread(target=self._read_errors, args=(process.stderr,), daemon=True)
        errors.start()
        if self._signal is not None:
            threading.Thread(target=self._ask, args=(process,), daemon=True).start()
        try:
            for line in process.stdout or ():
                self._line(line, checkpoint_file)
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        errors.join(timeout=5)
        return self._outcome(code, result_file)

    def _ask(self, process: subprocess.Popen[bytes]) -> None:
        """Send the checkpoint signal whenever one is due, until the program has ended."""
        while True:
            try:
                process.wait(timeout=_POLL_SECONDS)
                return
            except subprocess.TimeoutExpired:
                if self._ctx.checkpoint_due and self._signal is not None:
                    process.send_signal(self._signal)

    def _read_errors(self, stream: Any) -> None:
        for line in stream or ():
            self._ctx.log.warning("%s", line.decode(errors="replace").rstrip())

    def _line(self, line: bytes, checkpoint_file: Path) -> None:
        event: Any = None
        if line.lstrip().startswith(b"{"):
            try:
                event = msgspec.json.decode(line)
            except msgspec.DecodeError:
                event = None
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "progress" and isinstance(event.get("percent"), (int, float)):
            message = event.get("message")
            self._ctx.report_progress(event["percent"], message if isinstance(message, str) else None)
        elif kind == "checkpoint":
            self._ctx.save_checkpoint(checkpoint_file.read_bytes())
        elif kind == "log":
            levels = {"DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40}
            self._ctx.log.log(levels.get(str(event.get("level", "INFO")).upper(), 20), "%s", event.get("message"))
        elif kind == "error":
            self._error = event
        else:
            self._ctx.log.info("%s", line.decode(errors="replace").rstrip())

    def _outcome(self, code: int, result_file: Path) -> Any:
        if code == 0 and self._error is None:
            if not result_file.exists():
                return {}
            try:
                return msgspec.json.decode(result_file.read_bytes())
            except msgspec.DecodeError as exc:
                raise PermanentError(f"the result file is not JSON: {exc}") from exc
        what = f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        if self._error is not None:
            message = str(self._error.get("message") or what)
            if self._error.get("permanent"):
                raise PermanentError(message)
            raise TransientError(message)
        raise TransientError(f"'{self._argv[0]}' ended with {what}")
