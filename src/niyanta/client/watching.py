"""Watching a workload: by WebSocket, and by long polls where that can't be had."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from niyanta.client.models import Update, Workload
from niyanta.client.transport import Transport, quoted
from niyanta.errors import ConnectionFailedError, WaitTimeoutError

__all__ = ["get_workload", "wait_for_end", "watch_workload"]

_LONGEST_POLL_SECONDS = 20
_LATE_SECONDS = 15.0  # how much longer than asked for the answer to a long poll may take


async def get_workload(
    transport: Transport,
    workload_id: str,
    *,
    wait_seconds: int | None = None,
    version: int | None = None,
    deadline: float | None = None,
) -> Workload:
    """One workload, at once or by a long poll."""
    answer = await transport.call(
        "GET",
        f"/workloads/{quoted(workload_id)}",
        params={"wait_seconds": wait_seconds, "version": version},
        timeout=None if wait_seconds is None else wait_seconds + _LATE_SECONDS,
        deadline=deadline,
    )
    return msgspec.json.decode(answer, type=Workload)


async def watch_workload(
    transport: Transport, workload_id: str, *, logs: bool, deadline: float | None = None
) -> AsyncGenerator[Update, None]:
    """Updates in order, never going back, ending with the terminal one.

    A link that breaks is replaced; what was seen already isn't given again. Log lines come only over WebSocket, and
    those written while there was no link are left out.

    Raises:
        TimeoutError: The deadline, a moment of ``time.monotonic()``, came first.
    """
    version = 0
    while True:
        try:
            async with aclosing(transport.stream(f"/ws/workloads/{quoted(workload_id)}", deadline)) as messages:
                async for message in messages:
                    update = msgspec.json.decode(message, type=Update)
                    if update.is_log_line:
                        if logs:
                            yield update
                        continue
                    if update.version is None or update.version <= version:
                        continue
                    version = update.version
                    yield update
                    if update.is_terminal:
                        return
        except ConnectionFailedError:
            pass  # the poll below finds out whether it is the WebSocket alone, and says what else is wrong
        workload = await _polled(transport, workload_id, version, deadline)
        if workload.version is not None and workload.version > version:
            version = workload.version
            update = _update_from(workload)
            yield update
            if update.is_terminal:
                return


async def _polled(transport: Transport, workload_id: str, version: int, deadline: float | None) -> Workload:
    """The workload once its version has passed this one, or after a while."""
    wait = _LONGEST_POLL_SECONDS
    if deadline is not None:
        wait = min(wait, math.floor(deadline - time.monotonic()))
        if wait < 0:
            raise TimeoutError
    try:
        return await get_workload(transport, workload_id, wait_seconds=wait, version=version, deadline=deadline)
    except ConnectionFailedError as exc:
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError from exc
        raise


_TYPES = {"COMPLETED": "completed", "FAILED": "failed"}


def _update_from(workload: Workload) -> Update:
    return Update(
        type=_TYPES.get(workload.status, "status_update"),
        workload_id=workload.workload_id,
        status=workload.status,
        progress_percent=workload.progress_percent,
        version=workload.version,
        message=workload.progress_message,
        result_data=workload.result_data,
        error_message=workload.error_message,
    )


async def wait_for_end(transport: Transport, workload_id: str, timeout_seconds: float | None) -> None:
    """Wait until a workload is terminal.

    Raises:
        WaitTimeoutError: It isn't after so many seconds, and goes on.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    late = f"workload {workload_id} has not ended after {timeout_seconds or 0:g} s"
    try:
        async with aclosing(watch_workload(transport, workload_id, logs=False, deadline=deadline)) as updates:
            async for _ in updates:
                pass
    except TimeoutError as exc:
        raise WaitTimeoutError(late) from exc
