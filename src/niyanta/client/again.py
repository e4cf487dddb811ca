"""Submitting workloads again, as replays and forks; and the headers of all submissions."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from niyanta.client.models import Workload
from niyanta.client.transport import Transport, quoted, without_none
from niyanta.client.values import refuse_lossy

__all__ = ["headers_of", "submit_again"]


async def submit_again(
    transport: Transport,
    how: str,
    workload_id: str,
    input_params: dict[str, Any] | None,
    priority: int | None,
    from_checkpoint: int | None,
    *,
    key: str | None,
) -> Workload:
    """Submit a workload again; ``how`` is ``replay`` or ``fork``. What is None is as it was, and a key is made."""
    refuse_lossy(input_params, "input_params")
    body = without_none(input_params=input_params, priority=priority, from_checkpoint=from_checkpoint)
    path = f"/workloads/{quoted(workload_id)}/{how}"
    answer = await transport.call("POST", path, body, headers=headers_of(key), safe_to_repeat=True)
    return msgspec.json.decode(answer, type=Workload)


def headers_of(idempotency_key: str | None, traceparent: str | None = None) -> dict[str, str]:
    """Of a submission; a key is made when there is none."""
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    if traceparent is not None:
        headers["traceparent"] = traceparent
    return headers
