"""Calls that are given up at once, on their way in: counted, and their connection cut when they are too many.

What such a call costs is Python's taking it up: grpc hands over calls that were reset while they waited like any
other, in the order in which they came, and whoever calls meanwhile waits behind them. So a connection with too many
is ended, and what it left behind is dropped as soon as it is taken up (ADR 0034).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc

from niyanta.server.access.proxies import Proxies, network_of
from niyanta.server.access.resets import ResetBounds
from niyanta.server.grpc.peers import cut_off, source_address
from niyanta.server.grpc.steering import Steering
from niyanta.server.observability.metrics import Metrics

__all__ = ["Resets"]

log = logging.getLogger(__name__)

_AT_ONCE_SECONDS = 0.5
"""A call that is given up later than this after it was taken up has met its deadline, or somebody's impatience."""
_LEFT_BEHIND_SECONDS = 10.0
"""For how long calls of a connection that was cut still come."""
_MOST_CUT = 10_000


class Resets:
    """Counts for one server.

    Args:
        port: The server's.
        proxies: Their connections are of many callers, and are theirs to bound.
        metrics: Counts the cuts.
        bounds: How many there may be.
        steering: Gives sources whose connections together have too many a queue of their own.
    """

    def __init__(
        self, port: int, proxies: Proxies, metrics: Metrics, bounds: ResetBounds, steering: Steering
    ) -> None:
        self._port = port
        self._proxies = proxies
        self._metrics = metrics
        self._bounds = bounds
        self._steering = steering
        self._cut: dict[str, float] = {}
        """Peers whose connections were cut, with the monotonic seconds until which their calls are dropped."""

    def enter(self, peer: str) -> None:
        """A call is taken up.

        Raises:
            CancelledError: Its connection was cut: nobody waits for an answer.
        """
        until = self._cut.get(peer)
        if until is None:
            return
        if until > time.monotonic():
            raise asyncio.CancelledError
        del self._cut[peer]

    def given_up(self, peer: str, seconds: float) -> None:
        """A call has been given up before it was answered.

        Args:
            peer: Whose it was.
            seconds: Since it was taken up.
        """
        if seconds > _AT_ONCE_SECONDS or peer in self._cut or not peer.startswith(("ipv4:", "ipv6:")):
            return
        address = source_address(peer)
        if address in self._proxies:
            return
        is_too_many = self._bounds.count(peer, address)
        if self._bounds.is_bad(address) and self._steering.send_aside(network_of(address)):
            log.warning("grpc.source_set_aside", extra={"source": address, "why": "its connections only reset calls"})
        if not is_too_many:
            return
        if len(self._cut) >= _MOST_CUT:
            del self._cut[next(iter(self._cut))]
        self._cut[peer] = time.monotonic() + _LEFT_BEHIND_SECONDS
        if cut_off(peer, self._port):
            self._metrics.connection_cut()
            log.warning("grpc.connection_cut", extra={"source": address, "why": "it opened calls only to reset them"})

    def over(self, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """The same handler, its calls counted.

        The request is taken as a stream of one message, as one that never comes would keep the call from being seen.
        """
        serve = handler.unary_unary or handler.unary_stream

        # Any: messages of whatever method
        async def answer(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> None:
            peer, began, answered = context.peer(), time.monotonic(), False
            self.enter(peer)
            try:
                if handler.request_streaming:
                    await _write(handler.stream_stream(requests, context), context)
                else:
                    request = await anext(aiter(requests), None)
                    if request is None:
                        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The call has no request")
                    elif handler.response_streaming:
                        await _write(serve(request, context), context)
                    else:
                        await context.write(await serve(request, context))
                answered = True
            except grpc.aio.AbortError:
                answered = True
                raise
            finally:
                if not answered:
                    self.given_up(peer, time.monotonic() - began)

        return grpc.stream_stream_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )


# Any: messages of whatever method
async def _write(messages: AsyncGenerator[Any, None], context: grpc.aio.ServicerContext) -> None:
    async with contextlib.aclosing(messages):
        async for message in messages:
            await context.write(message)
