"""Health, readiness and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from niyanta.server.rest.bodies import workloads as bodies
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.health import Health

__all__ = ["ProbeRoutes"]

_TAG = "Health & Monitoring"


class ProbeRoutes:
    """What load balancers and operators ask.

    Args:
        health: Of what a request may need.
        scrape: Reads the metrics, in the text format of Prometheus.
    """

    def __init__(self, health: Health, scrape: Callable[[], Awaitable[bytes]]) -> None:
        self._health = health
        self._scrape = scrape

    @Operation(
        method="GET",
        path="/v1/health",
        operation_id="getHealth",
        summary="Whether the process is alive",
        tag=_TAG,
        access=Access.PUBLIC,
        answer=bodies.HealthAnswer,
        also_at_root=True,
    )
    async def health(self, call: Call) -> Response:
        """200 for as long as there is somebody to answer."""
        return json_response(bodies.HealthAnswer("healthy", timestamp(datetime.now(UTC))))

    @Operation(
        method="GET",
        path="/v1/ready",
        operation_id="getReadiness",
        summary="Whether it can serve; 503 when it can't",
        tag=_TAG,
        access=Access.PUBLIC,
        answer=bodies.ReadyAnswer,
        other_answers={503: bodies.ReadyAnswer},
        also_at_root=True,
    )
    async def ready(self, call: Call) -> Response:
        """200 when all that a request may need is there."""
        state = await self._health.check()
        words = {True: "connected", False: "disconnected"}
        found = bodies.Dependencies(words[state.database], words[state.broker], state.leader_elected)
        status = "ready" if state.is_ready else "not_ready"
        return json_response(bodies.ReadyAnswer(status, found), 200 if state.is_ready else 503)

    @Operation(
        method="GET",
        path="/v1/metrics",
        operation_id="getMetrics",
        summary="Metrics for Prometheus",
        description="Public or for admin keys only, as the service is set up.",
        tag=_TAG,
        access=Access.METRICS,
        recorded=False,
        media_type="text/plain",
        also_at_root=True,
    )
    async def metrics(self, call: Call) -> Response:
        """In the text format of Prometheus."""
        return Response(await self._scrape(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
