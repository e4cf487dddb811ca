"""The gRPC server: its port, its limits, its life; the services beside health and reflection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from niyanta.errors import ConfigurationError
from niyanta.server.access.certificates import Certificates
from niyanta.server.access.gate import Gate
from niyanta.server.access.resets import PortBounds
from niyanta.server.grpc.certificates import ShownCertificate
from niyanta.server.grpc.frame import GrpcFrame
from niyanta.server.grpc.health import HEALTH_SERVICE, HealthMethods
from niyanta.server.grpc.methods import SERVICES, Served
from niyanta.server.grpc.resets import Resets
from niyanta.server.grpc.steering import Steering
from niyanta.server.observability.metrics import Metrics
from niyanta.server.observability.tracing import Tracing
from niyanta.server.services.health import Health
from niyanta.server.services.requests import body_limits
from niyanta.server.settings import CoordinatorSettings

__all__ = ["GrpcServer"]

log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0
_KIB = 1024


class GrpcServer:
    """Binds its port at once, so that a port in use is found out before anything else starts.

    Args:
        settings: Where it listens, and its bounds.
        certificates: What is shown; None to speak plain.
        shares_port: Whether other processes listen on the port, too, which their parent holds. Then there is no
            second queue: the kernel's program would choose among the sockets of all of them (ADR 0038).

    Attributes:
        port: The TCP port.
    """

    def __init__(
        self, settings: CoordinatorSettings, certificates: Certificates | None = None, *, shares_port: bool = False
    ) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        self._when_stopping: Callable[[], None] = lambda: None
        self._servers = [grpc.aio.server(options=_options(settings, shares_port=shares_port))]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            self.port = _bind(self._servers[0], f"{host}:{settings.grpc_port}", settings, certificates)
        except RuntimeError as exc:
            raise _cannot_listen(settings) from exc
        if self.port == 0:
            raise _cannot_listen(settings)
        self._steering = Steering(self.port)
        if not shares_port and self._steering.share():
            self._add_second(f"{host}:{self.port}", certificates)

    def _add_second(self, place: str, certificates: Certificates | None) -> None:
        """Have a second server on the port, whose queue is for sources that flood."""
        second = grpc.aio.server(options=_options(self._settings, shares_port=True))
        try:
            if not _bind(second, place, self._settings, certificates):
                raise RuntimeError("it can't listen")
        except RuntimeError as error:
            log.warning("grpc.no_second_queue", extra={"error": str(error)})
            self._steering.share(False)
            return
        self._servers.append(second)
        self._steering.begin()

    async def start(
        self,
        gate: Gate,
        methods: Sequence[Served],
        health: Health,
        metrics: Metrics,
        when_stopping: Callable[[], None] = lambda: None,
        tracing: Tracing | None = None,
    ) -> None:
        """Begin to serve.

        Args:
            gate: Lets calls in.
            methods: Of all services.
            health: What the health service tells.
            metrics: Counts the calls.
            when_stopping: Called when the server begins to stop, to end what would go on for ever.
            tracing: Makes spans of calls.
        """
        self._when_stopping = when_stopping
        bounds = PortBounds()
        probes = HealthMethods(health, SERVICES, self._stopping)
        for server in self._servers:
            is_second = server is not self._servers[0]
            resets = Resets(self.port, gate.proxies, metrics, bounds, self._steering, is_second=is_second)
            frame = GrpcFrame(
                gate, body_limits(self._settings), self._settings.request_seconds, metrics, resets, tracing
            )
            for service in SERVICES:
                own = [served for served in methods if served.method.service == service]
                _add(server, service, {served.method.name: frame.handler(served) for served in own})
            _add(server, HEALTH_SERVICE, {name: resets.over(handler) for name, handler in probes.handlers().items()})
            if self._settings.grpc_reflection:
                _reflect(server, resets)
            server.add_generic_rpc_handlers((_Unknown(resets),))
            await server.start()

    async def stop(self) -> None:
        """Take no more calls, end the streams, let the others finish for a while. Idempotent."""
        self._stopping.set()
        self._when_stopping()
        await asyncio.gather(*(server.stop(_STOP_SECONDS) for server in self._servers))
        self._steering.close()


def _add(server: grpc.aio.Server, service: str, handlers: dict[str, grpc.RpcMethodHandler]) -> None:
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _reflect(server: grpc.aio.Server, resets: Resets) -> None:
    """The reflection service under both of its names: their messages are the same."""
    servicer = reflection.aio.ReflectionServicer([*SERVICES, HEALTH_SERVICE, reflection.SERVICE_NAME])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (reflection.SERVICE_NAME, "grpc.reflection.v1.ServerReflection"):
        _add(server, name, {"ServerReflectionInfo": resets.over(handler)})


class _Unknown(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped
    """Answers calls of methods that aren't here, so that they are counted, too."""

    def __init__(self, resets: Resets) -> None:
        self._handler = resets.over(grpc.stream_stream_rpc_method_handler(_not_here))

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return self._handler


async def _not_here(_: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncGenerator[bytes, None]:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    yield b""


def _bind(
    server: grpc.aio.Server, place: str, settings: CoordinatorSettings, certificates: Certificates | None
) -> int:
    if certificates is None:
        return int(server.add_insecure_port(place))
    shown = ShownCertificate(certificates)
    credentials = grpc.dynamic_ssl_server_credentials(
        shown.first, shown.newest, settings.requires_client_certificates
    )
    return int(server.add_secure_port(place, credentials))


def _options(settings: CoordinatorSettings, *, shares_port: bool) -> list[tuple[str, int]]:
    """Bounds against callers that take too much; what a method may take in particular is the frame's to check."""
    return [
        # Else the servers of two programs share a port, and neither is told. Only this program's own is joined.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_receive_message_length", settings.max_batch_body_bytes + 64 * _KIB),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", settings.grpc_max_streams),
        # Calls that wait to be taken up, of all connections, at some 14 KB. Beyond the first bound grpc drops some of
        # those that come, whosever they are, beyond the second all.
        ("grpc.server.max_pending_requests", 20_000),
        ("grpc.server.max_pending_requests_hard_limit", 24_000),
        # How much a caller may send of a request that nobody reads, as nobody does before the credentials are good. A
        # window that grows with the line's speed would let megabytes in.
        ("grpc.http2.lookahead_bytes", 64 * _KIB),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.server_handshake_timeout_ms", round(settings.request_seconds * 1000)),
        # A caller that has nothing under way connects again when it needs to.
        ("grpc.max_connection_idle_ms", 300_000),
        # Finds callers that are gone, so that their streams end.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # A caller that pings more often than this, three times over, loses its connection.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 2),
    ]


def _cannot_listen(settings: CoordinatorSettings) -> ConfigurationError:
    return ConfigurationError(
        f"cannot listen on {settings.host}:{settings.grpc_port} for gRPC. Is another program on that port? "
        "Choose another with --grpc-port, or 0 for a free one."
    )
