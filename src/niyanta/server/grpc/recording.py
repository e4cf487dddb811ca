"""Methods for operators, with what they do recorded."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from google.protobuf.message import Message

from niyanta.domain.operator_actions import Doing, Protocol, plain_target
from niyanta.server.grpc.methods import MethodCall, Served
from niyanta.server.services.operators import OperatorRecord

__all__ = ["recorded"]

_READS = ("Get", "List", "Stream")
_NO_TARGETS = frozenset({"last_event_id"})


def recorded(served: Served, operators: OperatorRecord) -> Served:
    """The same method; each call of one for operators is recorded, of a stream that it was opened."""
    if not served.method.admin:
        return served
    name = served.method.name

    def doing(call: MethodCall[Any]) -> Doing:
        return Doing(
            action=name[0].lower() + name[1:],  # as REST calls it
            actor_id=call.identity.key_id or call.identity.actor_id,
            protocol=Protocol.GRPC,
            source=call.source,
            request_id=call.request_id,
            target=plain_target(
                {
                    field.name: value
                    for field, value in call.request.ListFields()
                    if "_id" in field.name and field.name not in _NO_TARGETS
                }
            ),
            changes=not name.startswith(_READS),
        )

    serve: Callable[[MethodCall[Any]], Awaitable[Message]] = served.serve
    stream: Callable[[MethodCall[Any]], AsyncGenerator[Message, None]] = served.serve

    async def serve_recorded(call: MethodCall[Any]) -> Message:
        return await operators.over(doing(call), partial(serve, call))

    async def stream_recorded(call: MethodCall[Any]) -> AsyncGenerator[Message, None]:
        async with contextlib.aclosing(stream(call)) as messages:
            yield await operators.over(doing(call), partial(anext, messages))
            async for message in messages:
                yield message

    return replace(served, serve=stream_recorded if served.is_stream else serve_recorded)
