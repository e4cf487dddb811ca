"""The standard health service, for load balancers: no credentials, and the truth of ``/ready``.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

import grpc
from grpc_health.v1 import health_pb2

from niyanta.server.services.health import Health

__all__ = ["HEALTH_SERVICE", "HealthMethods"]

HEALTH_SERVICE: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_LOOK_SECONDS = 1.0


class HealthMethods:
    """Check, Watch and List.

    Args:
        health: Looks at database, broker and leader.
        services: Names that may be asked for; the empty one stands for the whole server.
        stopping: Set when the server begins to stop.
    """

    def __init__(self, health: Health, services: Collection[str], stopping: asyncio.Event) -> None:
        self._health = health
        self._services = frozenset({"", *services})
        self._stopping = stopping

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """By the method's name."""
        encode = health_pb2.HealthCheckResponse.SerializeToString
        return {
            "Check": grpc.unary_unary_rpc_method_handler(
                self.check, health_pb2.HealthCheckRequest.FromString, encode
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                self.watch, health_pb2.HealthCheckRequest.FromString, encode
            ),
            "List": grpc.unary_unary_rpc_method_handler(
                self.list, health_pb2.HealthListRequest.FromString, health_pb2.HealthListResponse.SerializeToString
            ),
        }

    async def check(self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext) -> object:
        """The status now; NOT_FOUND for a service that isn't here."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such service here")
        return health_pb2.HealthCheckResponse(status=await self._status())

    async def list(self, request: health_pb2.HealthListRequest, context: grpc.aio.ServicerContext) -> object:
        """The status of every service."""
        status = await self._status()
        each = {service: health_pb2.HealthCheckResponse(status=status) for service in self._services}
        return health_pb2.HealthListResponse(statuses=each)

    async def watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[object]:
        """The status now, and each change; ends when the server stops."""
        known = request.service in self._services
        last = None
        while True:
            status = await self._status() if known else health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if status != last:
                yield health_pb2.HealthCheckResponse(status=status)
                last = status
            if self._stopping.is_set():
                return
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _status(self) -> int:
        if self._stopping.is_set():
            return int(health_pb2.HealthCheckResponse.NOT_SERVING)
        ready = (await self._health.check()).is_ready
        return int(health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING)
