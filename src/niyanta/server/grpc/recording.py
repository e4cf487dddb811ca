"""Methods for operators, with what they do recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from google.protobuf.message import Message

from niyanta.domain.operator_actions import Doing, Protocol, plain_target
from niyanta.server.grpc.methods import MethodCall, Served
from niyanta.server.services.operators import OperatorRecord

__all__ = ["recorded"]

_READS = ("Get", "List")


def recorded(served: Served, operators: OperatorRecord) -> Served:
    """The same method; each call of one for operators is recorded."""
    if not served.method.admin:
        return served
    name = served.method.name
    serve: Callable[[MethodCall[Any]], Awaitable[Message]] = served.serve

    async def serve_recorded(call: MethodCall[Any]) -> Message:
        doing = Doing(
            action=name[0].lower() + name[1:],  # as REST calls it
            actor_id=call.identity.key_id or call.identity.actor_id,
            protocol=Protocol.GRPC,
            source=call.source,
            request_id=call.request_id,
            target=plain_target(
                {field.name: value for field, value in call.request.ListFields() if "_id" in field.name}
            ),
            changes=not name.startswith(_READS),
        )
        return await operators.over(doing, partial(serve, call))

    return replace(served, serve=serve_recorded)
