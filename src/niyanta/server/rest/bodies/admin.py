"""The JSON bodies of the admin API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from niyanta.domain.customers import KeyStatus, Role, Scope
from niyanta.domain.ids import CUSTOMER_ID_PATTERN
from niyanta.domain.limits import DEFAULT_KEY_OVERLAP_SECONDS, LIMIT_RANGES, MAX_KEY_OVERLAP_SECONDS, MAX_NAME_LENGTH
from niyanta.domain.workers import DrainMode, OrderKind, WorkerStatus
from niyanta.server.rest.bodies.account import CustomerAnswer, CustomerStatusName, TierName
from niyanta.server.rest.bodies.tokens import Scopes
from niyanta.server.rest.bodies.workloads import Pagination, Timestamp, one_of

__all__ = [
    "ApiKeyRow",
    "ApiKeysAnswer",
    "CreateCustomerRequest",
    "CreateKeyRequest",
    "CustomersAnswer",
    "KeyAnswer",
    "LimitsRequest",
    "RotateKeyRequest",
    "StandingOrderBody",
    "UndrainAnswer",
    "UpdateCustomerRequest",
    "WorkersAnswer",
]

# What is allowed is checked, with better words, by AdminService; here it is said for the OpenAPI document.
Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_NAME_LENGTH})]
CustomerId = Annotated[
    str,
    Meta(
        description="Made up when missing.",
        examples=["cust_abc123"],
        extra_json_schema={"pattern": f"^{CUSTOMER_ID_PATTERN.pattern}$"},
    ),
]
RoleName = Annotated[str, one_of(Role)]
KeyStatusName = Annotated[str, one_of(KeyStatus)]
WorkerStatusName = Annotated[str, one_of(WorkerStatus)]


def _range(name: str) -> dict[str, Any]:
    least, most = LIMIT_RANGES[name]
    return {"minimum": least, "maximum": most}


Concurrent = Annotated[int, Meta(extra_json_schema=_range("max_concurrent_workloads"))]
Depth = Annotated[int, Meta(extra_json_schema=_range("max_queue_depth"))]
Rate = Annotated[float, Meta(extra_json_schema=_range("rate_limit_per_sec"))]
Burst = Annotated[int, Meta(extra_json_schema=_range("burst"))]


class LimitsRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A customer's own limits. Null: what the tier gives."""

    max_concurrent_workloads: Concurrent | UnsetType | None = UNSET
    max_queue_depth: Depth | UnsetType | None = UNSET
    rate_limit_per_sec: Rate | UnsetType | None = UNSET
    burst: Burst | UnsetType | None = UNSET


class CreateCustomerRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /admin/customers``."""

    name: Name
    customer_id: CustomerId | None = None
    tier: TierName | None = None
    limits: LimitsRequest | None = None


class UpdateCustomerRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``PATCH /admin/customers/{customer_id}``; what is missing stays."""

    name: Name | None = None
    tier: TierName | None = None
    limits: LimitsRequest | None = None
    status: CustomerStatusName | None = None


class CustomersAnswer(msgspec.Struct):
    """One page of customers, oldest first."""

    customers: list[CustomerAnswer]
    pagination: Pagination


class CreateKeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /admin/customers/{customer_id}/api-keys``."""

    name: Name
    role: RoleName | None = None
    expires_at: Annotated[datetime, Meta(tz=True, description="RFC 3339; in the future.")] | None = None
    scopes: (
        Annotated[
            list[Annotated[str, one_of(Scope)]],
            Meta(
                description="What it is to be for; all that its role may do when missing.",
                extra_json_schema={"minItems": 1},
            ),
        ]
        | None
    ) = None


class RotateKeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /admin/customers/{customer_id}/api-keys/{key_id}/rotate``."""

    overlap_seconds: (
        Annotated[
            int,
            Meta(
                description="How long the key stays good beside the new one.",
                extra_json_schema={
                    "minimum": 0,
                    "maximum": MAX_KEY_OVERLAP_SECONDS,
                    "default": DEFAULT_KEY_OVERLAP_SECONDS,
                },
            ),
        ]
        | None
    ) = None


class KeyAnswer(msgspec.Struct):
    """A new key. ``api_key`` is shown this once, and stored nowhere."""

    key_id: str
    api_key: str
    customer_id: str
    name: str
    role: RoleName
    scopes: Scopes
    created_at: Timestamp
    expires_at: Timestamp | None


class ApiKeyRow(msgspec.Struct):
    """What may be shown of a key."""

    key_id: str
    customer_id: str
    name: str
    role: RoleName
    scopes: Scopes
    status: KeyStatusName
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None
    last_used_at: Timestamp | None
    last_used_from: Annotated[str | None, Meta(description="Network address.")]


class ApiKeysAnswer(msgspec.Struct):
    """One page of a customer's keys, oldest first."""

    api_keys: list[ApiKeyRow]
    pagination: Pagination


class StandingOrderBody(msgspec.Struct):
    """What an operator has ordered for a worker's id; it holds over restarts until ``undrain``."""

    kind: Annotated[
        str,
        one_of(OrderKind, "`drain`: gets nothing new. `remove`: may not register."),
    ]
    given_by: Annotated[str, Meta(description="The API key that it was given with.")]
    given_at: Timestamp
    mode: Annotated[
        str | None,
        one_of(DrainMode, "Of a drain. `finish`: what the worker runs, finishes. `move`: it goes on elsewhere."),
    ]


class WorkerBody(msgspec.Struct):
    """One worker."""

    worker_id: str
    status: WorkerStatusName
    capabilities: Annotated[list[str], Meta(description="Workload types that it serves.")]
    input_forms: Annotated[
        dict[str, str],
        Meta(
            description="By workload type the version of its input that the worker's handler takes: a digest of the "
            "JSON Schema of its parameters, or `any`. A workload is placed only where its input fits."
        ),
    ]
    capacity_total: int
    capacity_used: int
    tags: dict[str, str]
    last_heartbeat: Timestamp
    running_workloads: list[str]
    version: str
    missing_walls: Annotated[
        list[str],
        Meta(
            description="What doesn't keep handlers in on the worker's machine, such as `ports`: walls of the box "
            "that each of their processes is in."
        ),
    ]
    customers: Annotated[
        list[str],
        Meta(description="The only customers whose workloads it gets, by its join token; everybody's when empty."),
    ]
    registered_at: Timestamp
    standing_order: StandingOrderBody | None


class WorkersAnswer(msgspec.Struct):
    """One page of workers, by id."""

    workers: list[WorkerBody]
    pagination: Pagination


class UndrainAnswer(msgspec.Struct):
    """The worker may work again. DEAD: it isn't there now, and may come back."""

    worker_id: str
    status: WorkerStatusName
