"""Calls that come to nothing: counted, and kept from holding up others.

Such a call is given up at once, on its way in, or turned away by the gate. What it costs is Python's taking it up:
grpc hands over calls that were reset while they waited like any other, in the order in which they came, and whoever
calls meanwhile waits behind them. So a connection with too many is ended, what it left behind is dropped when it is
taken up (ADR 0034), and the next connections of its source have a queue of their own, where such calls are held
(ADR 0035).
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
from niyanta.server.access.resets import PortBounds, ResetBounds
from niyanta.server.grpc.peers import cut_off, source_address
from niyanta.server.grpc.steering import Steering
from niyanta.server.observability.metrics import Metrics

__all__ = ["Resets"]

log = logging.getLogger(__name__)

_AT_ONCE_SECONDS = 0.5
"""A call that is given up later than this after it was taken up has met its deadline, or somebody's impatience."""
_LEFT_BEHIND_SECONDS = 10.0
"""For how long calls of a connection that was cut still come, and one in the second queue is distrusted."""
_MOST_CUT = 10_000
_PROOF_SECONDS = 0.25
"""For how long a call of a distrusted connection waits. Whether it was reset before it was taken up is known then."""
_HELD_SECONDS = 5.0
"""How long before a call that was given up makes room for another of its connection."""
_MOST_HELD = 5_000
"""At some 14 KB each."""


class Resets:
    """Counts for one of a port's servers.

    Args:
        port: The server's.
        proxies: Their connections are of many callers, and are theirs to bound.
        metrics: Counts the cuts.
        bounds: How many there may be, for all servers of the port.
        steering: Gives sources whose connections have too many a queue of their own.
        is_second: Whether this is the server with that queue. It cuts nobody, as whoever is cut comes back with a new
            thousand calls. It lets a call that was given up go only seconds later: until then it counts among those
            that its connection may have under way.
        held_seconds: How many.
    """

    def __init__(
        self,
        port: int,
        proxies: Proxies,
        metrics: Metrics,
        bounds: PortBounds,
        steering: Steering,
        *,
        is_second: bool,
        held_seconds: float = _HELD_SECONDS,
    ) -> None:
        self._port = port
        self._proxies = proxies
        self._metrics = metrics
        self._bounds = bounds
        self._steering = steering
        self._is_second = is_second
        self._held_seconds = held_seconds
        self._held = 0
        self._distrusted: dict[str, float] = {}
        """Peers whose connections had too many, each until a moment of the monotonic clock."""

    async def enter(self, peer: str) -> None:
        """A call is taken up.

        Raises:
            CancelledError: Nobody waits for an answer.
        """
        until = self._distrusted.get(peer)
        if until is None:
            return
        if until <= time.monotonic():
            del self._distrusted[peer]
        elif self._is_second:
            await self._proven(peer)
        else:
            raise asyncio.CancelledError

    async def _proven(self, peer: str) -> None:
        """Wait until it is clear that a call wasn't reset; one that was is held."""
        try:
            await asyncio.sleep(_PROOF_SECONDS)
        except asyncio.CancelledError:
            self._distrust(peer)
            if self._held < _MOST_HELD:
                self._held += 1
                try:
                    await asyncio.sleep(self._held_seconds)
                finally:
                    self._held -= 1
            raise

    def given_up(self, peer: str, seconds: float) -> None:
        """A call has been given up before it was answered.

        Args:
            peer: Whose it was.
            seconds: Since it was taken up, or 0 when its request hadn't come.
        """
        if seconds <= _AT_ONCE_SECONDS:
            self._count(peer, self._bounds.given_up, "it opened calls only to reset them")

    def turned_away(self, peer: str) -> None:
        """A call has been refused for its credentials, or for its customer's or its source's rate."""
        if not self._is_second:
            self._count(peer, self._bounds.turned_away, "it went on with calls that are refused")

    def _count(self, peer: str, bounds: ResetBounds, why: str) -> None:
        if peer in self._distrusted or not peer.startswith(("ipv4:", "ipv6:")):
            return
        address = source_address(peer)
        if address in self._proxies:
            return
        is_too_many = bounds.count(peer, address)
        if (is_too_many or bounds.is_bad(address)) and self._steering.send_aside(network_of(address)):
            log.warning("grpc.source_set_aside", extra={"source": address, "why": why})
        if not is_too_many:
            return
        self._distrust(peer)
        if not self._is_second and cut_off(peer, self._port):
            self._metrics.connection_cut()
            log.warning("grpc.connection_cut", extra={"source": address, "why": why})

    def _distrust(self, peer: str) -> None:
        if peer not in self._distrusted and len(self._distrusted) >= _MOST_CUT:
            del self._distrusted[next(iter(self._distrusted))]
        self._distrusted[peer] = time.monotonic() + _LEFT_BEHIND_SECONDS

    def over(self, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """The same handler, its calls counted.

        The request is taken as a stream of one message, as one that never comes would keep the call from being seen.
        """
        serve = handler.unary_unary or handler.unary_stream

        # Any: messages of whatever method
        async def answer(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> None:
            peer, began, answered = context.peer(), None, False
            await self.enter(peer)
            try:
                if handler.request_streaming:
                    began = time.monotonic()
                    await _write(handler.stream_stream(requests, context), context)
                else:
                    request = await anext(aiter(requests), None)
                    began = time.monotonic()
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
                    self.given_up(peer, 0.0 if began is None else time.monotonic() - began)

        return grpc.stream_stream_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )


# Any: messages of whatever method
async def _write(messages: AsyncGenerator[Any, None], context: grpc.aio.ServicerContext) -> None:
    async with contextlib.aclosing(messages):
        async for message in messages:
            await context.write(message)
