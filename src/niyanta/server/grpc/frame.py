"""The frame around each method: request id, credentials, limits, input, statuses with details.

It is to gRPC what ``rest.frame.frame`` is to REST, over the same gate and the same errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from niyanta.errors import (
    ApiError,
    InternalError,
    InvalidInputError,
    PayloadTooLargeError,
    RateLimitedError,
    RequestTimeoutError,
    UnauthorizedError,
)
from niyanta.server.access.gate import Gate, check_workload, request_id
from niyanta.server.access.proxies import Proxies
from niyanta.server.access.rate_limits import RateStatus
from niyanta.server.grpc import status
from niyanta.server.grpc.methods import Method, MethodCall, Served
from niyanta.server.grpc.peers import source_address
from niyanta.server.grpc.resets import Resets
from niyanta.server.grpc.traced import traced
from niyanta.server.observability.logs import name_request
from niyanta.server.observability.metrics import Metrics
from niyanta.server.observability.tracing import Tracing
from niyanta.server.services.requests import BodyLimit

__all__ = ["GrpcFrame"]

log = logging.getLogger(__name__)

_BYTES_PER_SECOND = 64 * 1024


class GrpcFrame:
    """Turns methods into handlers.

    Args:
        gate: Lets calls in.
        body_limits: Larger requests are refused, in bytes.
        request_seconds: How long a request may take to arrive, with a second more for each 64 KiB that it may have.
        metrics: Counts the calls.
        resets: Counts those that are given up at once.
        tracing: Makes spans of calls; None where nobody wants them.
    """

    def __init__(
        self,
        gate: Gate,
        body_limits: Mapping[BodyLimit, int],
        request_seconds: float,
        metrics: Metrics,
        resets: Resets,
        tracing: Tracing | None = None,
    ) -> None:
        self._resets = resets
        self._tracing = tracing
        self._gate = gate
        self._request_seconds = request_seconds
        self._body_limits = body_limits
        self._metrics = metrics

    def handler(self, served: Served) -> grpc.RpcMethodHandler:
        """What grpc calls, with the request as a stream of one encoded message.

        To the caller that is the same as a single request. Here it means that nothing but metadata is read before the
        gate: what the caller sends meanwhile waits in HTTP/2's window (see ``server._options``).
        """
        if served.is_stream:
            return grpc.stream_stream_rpc_method_handler(
                traced(self._streaming(served), served.method, self._tracing)
            )
        return grpc.stream_unary_rpc_method_handler(traced(self._answering(served), served.method, self._tracing))

    def _answering(
        self, served: Served
    ) -> Callable[[AsyncIterator[bytes], grpc.aio.ServicerContext], Awaitable[bytes]]:
        method, exists = served.method, served.exists
        serve: Callable[[MethodCall[Any]], Awaitable[Message]] = served.serve

        async def answer(sent: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
            await self._resets.enter(context.peer())
            with self._entry(method, context) as entry:
                try:
                    call = await self._enter(method, sent, entry)
                    try:
                        message = await serve(call)
                    except InvalidInputError:
                        if exists is not None:
                            await exists(call)
                        raise
                    encoded = message.SerializeToString()
                    await entry.begin_answer(call.answer_metadata)
                    entry.outcome = grpc.StatusCode.OK
                    return encoded
                except ApiError as error:
                    failure = error
                except Exception:
                    failure = entry.unexpected(method.name)
                self._metrics.refused(failure.code)
                return await entry.refuse(failure)

        return answer

    def _streaming(
        self, served: Served
    ) -> Callable[[AsyncIterator[bytes], grpc.aio.ServicerContext], Awaitable[None]]:
        method = served.method
        serve: Callable[[MethodCall[Any]], AsyncGenerator[Message, None]] = served.serve

        async def answer(sent: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
            await self._resets.enter(context.peer())
            with self._entry(method, context) as entry:
                try:
                    call = await self._enter(method, sent, entry)
                    async with contextlib.aclosing(serve(call)) as messages:
                        async for message in messages:
                            await entry.begin_answer(call.answer_metadata)
                            await context.write(message.SerializeToString())
                    entry.outcome = grpc.StatusCode.OK
                    return
                except ApiError as error:
                    failure = error
                except Exception:
                    failure = entry.unexpected(method.name)
                self._metrics.refused(failure.code)
                await entry.refuse(failure)

        return answer

    @contextlib.contextmanager
    def _entry(self, method: Method[Any, Any], context: grpc.aio.ServicerContext) -> Iterator[_Entry]:
        """A call, counted when it has ended."""
        began, peer = time.perf_counter(), context.peer()
        entry = _Entry(context, peer, self._gate.proxies)
        name_request(entry.request_id)
        try:
            yield entry
        finally:
            seconds = time.perf_counter() - began
            self._metrics.call_answered(method.name, entry.outcome.name, seconds)
            if entry.was_given_up:
                self._resets.given_up(peer, seconds)
            elif entry.was_turned_away:
                self._resets.turned_away(peer)

    async def _enter(self, method: Method[Any, Any], sent: AsyncIterator[bytes], entry: _Entry) -> MethodCall[Any]:
        """The checked call; raises what refuses it."""
        entered = await self._gate.enter(entry.metadata.get("authorization"), method.needs, source=entry.source)
        entry.rate = entered.rate
        if entered.refusal is not None:
            raise entered.refusal
        limit = self._body_limits[method.body_limit]
        raw = await self._read(sent, limit)
        if len(raw) > limit:
            raise PayloadTooLargeError(f"The request is larger than {limit} bytes", details={"max_bytes": limit})
        try:
            request = method.request.FromString(raw)
        except DecodeError as exc:
            raise InvalidInputError(
                f"The request is no {method.request.DESCRIPTOR.name}: damaged, with text that isn't UTF-8, "
                "or nested deeper than 100 messages (about 30 levels of objects)",
                details={"field": "request", "max_messages": 100},
            ) from exc
        check_workload(entered.identity, getattr(request, "workload_id", None))
        return MethodCall(
            entered.identity, request, len(raw), entry.metadata, entry.seconds_left, entry.source, entry.request_id
        )

    async def _read(self, sent: AsyncIterator[bytes], limit: int) -> bytes:
        """The request's message.

        Raises:
            RequestTimeoutError: It took too long to arrive, though as much as allowed could have.
            InvalidInputError: There is none.
        """
        seconds = self._request_seconds + limit / _BYTES_PER_SECOND
        try:
            async with asyncio.timeout(seconds):
                async for message in sent:
                    return message
        except TimeoutError as exc:
            raise RequestTimeoutError(
                "The request took too long to arrive",
                details={"field": "request", "allowed": f"{seconds:g} s"},
            ) from exc
        raise InvalidInputError("The call has no request", details={"field": "request", "allowed": "one message"})


class _Entry:
    """What is known of a call before, and needed after, everything else: its id, its metadata, the way to answer."""

    def __init__(self, context: grpc.aio.ServicerContext, peer: str, proxies: Proxies) -> None:
        self._context = context
        forwarded: list[str] = []
        self.metadata: dict[str, str] = {}
        for key, value in context.invocation_metadata() or ():
            if isinstance(value, str):
                self.metadata.setdefault(key, value)
                if key == "x-forwarded-for":
                    forwarded.append(value)
        self.request_id = request_id(self.metadata.get("x-request-id"))
        self.source = proxies.source(source_address(peer), ",".join(forwarded))
        self.seconds_left: float | None = context.time_remaining()
        self.rate: RateStatus | None = None
        self.outcome = grpc.StatusCode.CANCELLED
        self.was_turned_away = False
        self._begun = False

    @property
    def was_given_up(self) -> bool:
        """Once it has ended: whether its caller left before any answer."""
        return not self._begun

    async def begin_answer(self, more: dict[str, str]) -> None:
        """Send the initial metadata, the first time."""
        if not self._begun:
            sent = {"x-request-id": self.request_id, **more}
            if self.rate is not None:
                sent["x-ratelimit-limit"] = f"{self.rate.limit:.15g}"
                sent["x-ratelimit-remaining"] = str(self.rate.remaining)
                sent["x-ratelimit-reset"] = str(self.rate.reset_at)
            await self._context.send_initial_metadata(tuple(sent.items()))
            self._begun = True

    def unexpected(self, method: str) -> ApiError:
        """Log the exception under way, which the caller learns nothing about but the request id."""
        log.exception("grpc.request_failed", extra={"request_id": self.request_id, "method": method})
        return InternalError("An unexpected error; it has been logged")

    async def refuse(self, error: ApiError) -> bytes:
        """End the call with the error's status, by an exception of grpc's."""
        self.outcome = status.code_of(error)
        self.was_turned_away = isinstance(error, UnauthorizedError | RateLimitedError)
        await self.begin_answer({})
        await self._context.abort(
            self.outcome, status.safe_message(error), status.metadata_of(error, self.request_id)
        )
        return b""
