"""``worker.command``: any program as a handler.

The program finds its input in files named by the environment, reports by lines of JSON on its standard output, and
keeps its checkpoint as a file (docs/commands.md).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import msgspec

from niyanta.domain.limits import MAX_EVENT_BYTES, MAX_RESULT_BYTES
from niyanta.errors import CheckpointError, ConfigurationError, PermanentError, TransientError
from niyanta.worker.handlers.context import SyncContext
from niyanta.worker.handlers.link import AttemptEnded

__all__ = ["command_handler"]

_POLL_SECONDS = 0.2
_ASK_AGAIN_SECONDS = 5.0
_JOIN_SECONDS = 0.4
_GRACE_SECONDS = 4.0
"""A little less than what our own process has between SIGTERM and SIGKILL."""
_PERMANENT = frozenset({errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR, errno.E2BIG})
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40}


def command_handler(argv: Sequence[str], checkpoint_signal: str | None) -> Callable[[SyncContext], Any]:
    """A sync handler that runs a program.

    Raises:
        ConfigurationError: No program, or no such signal.
    """
    if isinstance(argv, str) or not argv or not all(isinstance(word, str) and "\0" not in word for word in argv):
        raise ConfigurationError("a command is a list of texts: the program's name and its arguments")
    words = list(argv)
    if "/" in words[0]:
        words[0] = os.path.abspath(words[0])  # the program will start in another directory
    number = None
    if checkpoint_signal is not None:
        number = getattr(signal, checkpoint_signal, None)
        if not isinstance(number, signal.Signals):
            raise ConfigurationError(f"there is no signal '{checkpoint_signal}'")

    def run(ctx: SyncContext) -> object:
        return _Run(ctx, words, number).run()

    return run


class _Run:
    """One run of the program."""

    def __init__(self, ctx: SyncContext, argv: list[str], checkpoint_signal: signal.Signals | None) -> None:
        self._ctx = ctx
        self._argv = argv
        self._signal = checkpoint_signal
        self._work = ctx.work_dir
        self._checkpoint_file = ctx.work_dir / "checkpoint"
        self._result_file = ctx.work_dir / "result.json"
        self._error: dict[str, Any] | None = None

    def run(self) -> object:
        with self._start() as process:
            output, errors = _Output(process, process.stdout), _Output(process, process.stderr)
            reading = threading.Thread(target=self._read_errors, args=(errors,), daemon=True)
            reading.start()
            if self._signal is not None:
                threading.Thread(target=self._ask, args=(process, self._signal), daemon=True).start()
            try:
                for line, whole in output.lines():
                    self._line(line, whole)
                code = process.wait()
            except AttemptEnded:
                self._end(process, output, errors, reading)
                raise
            except BaseException:
                process.kill()
                raise
            finally:
                reading.join(timeout=_JOIN_SECONDS)
        return self._outcome(code)

    def _start(self) -> subprocess.Popen[bytes]:
        ctx, work = self._ctx, self._work
        input_file = work / "input.json"
        input_file.write_bytes(msgspec.json.encode({"input_params": ctx.input_params, "config": ctx.config}))
        if ctx.checkpoint is not None:
            state = ctx.checkpoint
            self._checkpoint_file.write_bytes(state if isinstance(state, bytes) else msgspec.json.encode(state))
        environment = {
            **os.environ,
            "NIYANTA_WORKLOAD_ID": ctx.workload_id,
            "NIYANTA_ATTEMPT": str(ctx.attempt),
            "NIYANTA_WORK_DIR": str(work),
            "NIYANTA_INPUT_FILE": str(input_file),
            "NIYANTA_CHECKPOINT_FILE": str(self._checkpoint_file),
            "NIYANTA_RESULT_FILE": str(self._result_file),
            **({} if ctx.traceparent is None else {"TRACEPARENT": ctx.traceparent}),
        }
        try:
            return subprocess.Popen(
                self._argv,
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as exc:
            problem = f"'{self._argv[0]}' can't be started: {exc.strerror or exc}"
            if exc.errno in _PERMANENT:
                raise PermanentError(problem) from exc
            raise TransientError(problem) from exc

    def _end(
        self, process: subprocess.Popen[bytes], output: _Output, errors: _Output, reading: threading.Thread
    ) -> None:
        """The attempt is over: the program gets SIGTERM, here or with us, and the rest of our grace to obey it.

        So have those that it has started, for as long as they hold its outputs.
        """
        until = time.monotonic() + _GRACE_SECONDS
        output.has_heirs = errors.has_heirs = True
        if process.poll() is None:
            process.terminate()
        # What they say in the meantime counts as before; and they must not block on it.
        rest = threading.Thread(target=self._read_rest, args=(output,), daemon=True)
        rest.start()
        try:
            process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        for thread in (rest, reading):
            thread.join(timeout=max(_JOIN_SECONDS, until - time.monotonic()))

    def _read_rest(self, output: _Output) -> None:
        for line, whole in output.lines():
            with contextlib.suppress(AttemptEnded):
                self._line(line, whole)

    def _ask(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send the checkpoint signal when one is due, once for each time, until the program has ended."""
        asked_at = -_ASK_AGAIN_SECONDS
        while True:
            try:
                process.wait(timeout=_POLL_SECONDS)
                return
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if not self._ctx.checkpoint_due:
                    asked_at = now - _ASK_AGAIN_SECONDS
                elif now - asked_at >= _ASK_AGAIN_SECONDS:
                    asked_at = now
                    process.send_signal(number)

    def _read_errors(self, errors: _Output) -> None:
        for line, _ in errors.lines():
            if text := line.decode(errors="replace").rstrip():
                self._ctx.log.warning("%s", text)

    def _line(self, line: bytes, whole: bool) -> None:
        event: object = None
        if whole and line.lstrip().startswith(b"{"):
            try:
                event = msgspec.json.decode(line)
            except (ValueError, RecursionError):  # not JSON, or not UTF-8
                event = None
        if isinstance(event, dict) and self._event(event):
            return
        if text := line.decode(errors="replace").rstrip():
            self._ctx.log.info("%s", text)

    def _event(self, event: dict[str, Any]) -> bool:
        """Obey an event; False when it is none."""
        match event:
            case {"type": "progress", "percent": int() | float() as percent}:
                message = event.get("message")
                self._ctx.report_progress(percent, message if isinstance(message, str) else None)
            case {"type": "checkpoint"}:
                self._save_checkpoint()
            case {"type": "log", "message": message}:
                self._ctx.log.log(_LEVELS.get(str(event.get("level", "INFO")).upper(), 20), "%s", message)
            case {"type": "error"}:
                self._error = event
            case _:
                return False
        return True

    def _save_checkpoint(self) -> None:
        try:
            self._ctx.save_checkpoint(self._checkpoint_file.read_bytes())
        except OSError as exc:
            self._ctx.log.warning("the checkpoint file can't be read: %s", exc.strerror or exc)
        except CheckpointError as exc:
            self._ctx.log.warning("%s", exc)

    def _outcome(self, code: int) -> object:
        if self._error is not None:
            message = str(self._error.get("message") or _how(code))
            raise PermanentError(message) if self._error.get("permanent") is True else TransientError(message)
        if code != 0:
            raise TransientError(f"'{self._argv[0]}' ended with {_how(code)}")
        try:
            if self._result_file.stat().st_size > MAX_RESULT_BYTES:
                raise PermanentError(f"the result file is larger than the limit of {MAX_RESULT_BYTES} bytes")
            return msgspec.json.decode(self._result_file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as exc:
            raise PermanentError(f"the result file is not JSON: {exc}") from exc


class _Output:
    """One of a program's output streams, until it or the program ends.

    Attributes:
        has_heirs: Whether it goes on without the program: others may have more to say.
    """

    def __init__(self, process: subprocess.Popen[bytes], stream: IO[bytes] | None) -> None:
        self.has_heirs = False
        self._process = process
        self._fd = -1 if stream is None else stream.fileno()
        self._lines: deque[tuple[bytes, bool]] = deque()
        self._rest = b""
        self._whole = True

    def lines(self) -> Iterator[tuple[bytes, bool]]:
        """Lines, and whether each is whole: what is longer than an event may be comes in pieces.

        One that was interrupted is followed by another that goes on where it was.
        """
        more = True
        while more or self._lines:
            while self._lines:
                yield self._lines.popleft()
            more = more and self._read()

    def _read(self) -> bool:
        """Wait for more; False when there will be none."""
        ready, _, _ = select.select([self._fd], [], [], _POLL_SECONDS)
        if not ready:
            # Something that it left in the background may keep the pipe open.
            return self.has_heirs or self._process.poll() is None
        data = os.read(self._fd, MAX_EVENT_BYTES)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._lines.append((line, self._whole))
            self._whole = True
        if self._rest and (not data or len(self._rest) > MAX_EVENT_BYTES):
            self._lines.append((self._rest, self._whole and not data))
            self._rest, self._whole = b"", False
        return bool(data)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    if -code == signal.SIGXFSZ:
        return "signal SIGXFSZ: a file grew beyond the disk limit"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
