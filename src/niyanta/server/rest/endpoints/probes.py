"""§5 of the contract: health, readiness and metrics."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from niyanta.server.observability.metrics import Metrics
from niyanta.server.rest.bodies import workloads as bodies
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.health import Health
from niyanta.server.services.vitals import Vitals

__all__ = ["ProbeRoutes"]

_TAG = "Health & Monitoring"


class ProbeRoutes:
    """What load balancers and operators ask."""

    def __init__(self, health: Health, vitals: Vitals, metrics: Metrics, metrics_access: Access) -> None:
        self._health = health
        self._vitals = vitals
        self._metrics = metrics
        self._metrics_access = metrics_access

    def operations(self) -> list[Operation]:
        """What this part of the API offers, under ``/v1`` and at the root."""
        found = []
        for prefix, suffix in (("/v1", ""), ("", "AtRoot")):
            found += [
                Operation(
                    method="GET",
                    path=f"{prefix}/health",
                    operation_id=f"getHealth{suffix}",
                    summary="Whether the process is alive",
                    tag=_TAG,
                    handler=self.health,
                    access=Access.PUBLIC,
                    answer=bodies.HealthAnswer,
                ),
                Operation(
                    method="GET",
                    path=f"{prefix}/ready",
                    operation_id=f"getReadiness{suffix}",
                    summary="Whether it can serve; 503 when it can't",
                    tag=_TAG,
                    handler=self.ready,
                    access=Access.PUBLIC,
                    answer=bodies.ReadyAnswer,
                    other_answers={503: bodies.ReadyAnswer},
                ),
                Operation(
                    method="GET",
                    path=f"{prefix}/metrics",
                    operation_id=f"getMetrics{suffix}",
                    summary="Metrics for Prometheus",
                    tag=_TAG,
                    handler=self.metrics,
                    access=self._metrics_access,
                    media_type="text/plain",
                    description="Public or for admin keys only, as the service is set up.",
                ),
            ]
        return found

    async def health(self, call: Call) -> Response:
        """§5.1."""
        return json_response(bodies.HealthAnswer("healthy", timestamp(datetime.now(UTC))))

    async def ready(self, call: Call) -> Response:
        """§5.2."""
        state = await self._health.check()
        words = {True: "connected", False: "disconnected"}
        found = bodies.Dependencies(words[state.database], words[state.broker], state.leader_elected)
        status = "ready" if state.is_ready else "not_ready"
        return json_response(bodies.ReadyAnswer(status, found), 200 if state.is_ready else 503)

    async def metrics(self, call: Call) -> Response:
        """§5.3."""
        text = await self._metrics.scrape(await self._vitals.read())
        return Response(text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
