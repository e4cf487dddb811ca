"""The endpoints: classes whose methods declare what they serve."""

from __future__ import annotations

from niyanta.server.rest.endpoints.admin import AdminRoutes
from niyanta.server.rest.endpoints.batches import BatchRoutes
from niyanta.server.rest.endpoints.checkpoints import CheckpointRoutes
from niyanta.server.rest.endpoints.configs import ConfigRoutes
from niyanta.server.rest.endpoints.customers import CustomerRoutes
from niyanta.server.rest.endpoints.draining import DrainRoutes
from niyanta.server.rest.endpoints.explaining import ExplainRoutes
from niyanta.server.rest.endpoints.failures import FailureRoutes
from niyanta.server.rest.endpoints.join_tokens import JoinTokenRoutes
from niyanta.server.rest.endpoints.live import LiveRoutes
from niyanta.server.rest.endpoints.logs import LogRoutes
from niyanta.server.rest.endpoints.operator_actions import OperatorActionRoutes
from niyanta.server.rest.endpoints.probes import ProbeRoutes
from niyanta.server.rest.endpoints.replays import ReplayRoutes
from niyanta.server.rest.endpoints.sessions import SessionRoutes
from niyanta.server.rest.endpoints.system import SystemRoutes
from niyanta.server.rest.endpoints.tokens import TokenRoutes
from niyanta.server.rest.endpoints.types import TypeRoutes
from niyanta.server.rest.endpoints.updating import UpdateRoutes
from niyanta.server.rest.endpoints.workloads import WorkloadRoutes

__all__ = ["PARTS"]

PARTS: tuple[type, ...] = (
    BatchRoutes,
    FailureRoutes,
    ReplayRoutes,
    LiveRoutes,
    WorkloadRoutes,
    UpdateRoutes,
    CheckpointRoutes,
    ExplainRoutes,
    LogRoutes,
    ConfigRoutes,
    TypeRoutes,
    CustomerRoutes,
    TokenRoutes,
    AdminRoutes,
    DrainRoutes,
    JoinTokenRoutes,
    SessionRoutes,
    OperatorActionRoutes,
    SystemRoutes,
    ProbeRoutes,
)
"""All of them, for what looks at the declarations only."""
