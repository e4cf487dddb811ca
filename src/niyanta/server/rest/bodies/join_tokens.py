"""The JSON bodies of join tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain.ids import CUSTOMER_ID_PATTERN, WORKLOAD_TYPE_PATTERN
from niyanta.domain.join_tokens import WORKER_PATTERN
from niyanta.domain.limits import MAX_TAG_LENGTH, MAX_TAGS, MAX_TOKEN_CUSTOMERS, MAX_TOKEN_ENTRIES
from niyanta.server.rest.bodies.admin import KeyStatusName, Name
from niyanta.server.rest.bodies.workloads import Pagination, Timestamp

__all__ = ["CreateJoinTokenRequest", "JoinTokenAnswer", "JoinTokenRow", "JoinTokensAnswer"]

# What is allowed is checked, with better words, by JoinTokenService; here it is said for the OpenAPI document.
WorkerPattern = Annotated[
    str,
    Meta(
        description="What the ids of its workers look like; `*` stands for any characters.",
        examples=["gpu-*"],
        extra_json_schema={"pattern": f"^{WORKER_PATTERN.pattern}$"},
    ),
]
TypeName = Annotated[str, Meta(extra_json_schema={"pattern": f"^{WORKLOAD_TYPE_PATTERN.pattern}$"})]
Types = Annotated[
    list[TypeName],
    Meta(
        description="All workload types that its workers may serve; every type when empty.",
        extra_json_schema={"maxItems": MAX_TOKEN_ENTRIES},
    ),
]
TagValue = Annotated[str, Meta(extra_json_schema={"maxLength": MAX_TAG_LENGTH})]
Tags = Annotated[
    dict[str, TagValue],
    Meta(
        description="All tags that its workers may have; any when empty.",
        extra_json_schema={"maxProperties": MAX_TAGS},
    ),
]

PoolCustomer = Annotated[str, Meta(extra_json_schema={"pattern": f"^{CUSTOMER_ID_PATTERN.pattern}$"})]
Customers = Annotated[
    list[PoolCustomer],
    Meta(
        description="The only customers whose workloads its workers get; everybody's when empty.",
        extra_json_schema={"maxItems": MAX_TOKEN_CUSTOMERS},
    ),
]


class CreateJoinTokenRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /admin/join-tokens``."""

    name: Name
    worker_pattern: WorkerPattern = "*"
    workload_types: Types = []
    tags: Tags = {}
    customers: Customers = []
    expires_at: Annotated[datetime, Meta(tz=True, description="RFC 3339; in the future.")] | None = None


class JoinTokenAnswer(msgspec.Struct):
    """A new join token. ``join_token`` is shown this once, and stored nowhere."""

    token_id: str
    join_token: str
    name: str
    worker_pattern: str
    workload_types: list[str]
    tags: dict[str, str]
    customers: list[str]
    created_at: Timestamp
    expires_at: Timestamp | None


class JoinTokenRow(msgspec.Struct):
    """What may be shown of a join token."""

    token_id: str
    name: str
    worker_pattern: str
    workload_types: list[str]
    tags: dict[str, str]
    customers: list[str]
    status: KeyStatusName
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None


class JoinTokensAnswer(msgspec.Struct):
    """One page of join tokens, oldest first."""

    join_tokens: list[JoinTokenRow]
    pagination: Pagination
