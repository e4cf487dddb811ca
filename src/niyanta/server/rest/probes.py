"""§5 of the contract: health and readiness."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from niyanta.server.coordinator.health import Health
from niyanta.server.rest import bodies
from niyanta.server.rest.operations import Access, Call, Operation
from niyanta.server.rest.responses import json_response, timestamp

__all__ = ["ProbeRoutes"]

_TAG = "Health & Monitoring"


class ProbeRoutes:
    """What load balancers and operators ask."""

    def __init__(self, health: Health) -> None:
        self._health = health

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
