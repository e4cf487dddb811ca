"""What a submission is, and what its values must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from niyanta.domain.labels import KEY_PATTERN, VALUE_PATTERN, is_key, is_value
from niyanta.domain.limits import (
    DEFAULT_PRIORITY,
    MAX_AFFINITY_ENTRIES,
    MAX_AFFINITY_TEXT_LENGTH,
    MAX_BATCH,
    MAX_IDEMPOTENCY_KEY_LENGTH,
    MAX_LABEL_LENGTH,
    MAX_LABELS,
    MAX_PRIORITY,
    MAX_TIMEOUT_SECONDS,
)
from niyanta.errors import InvalidInputError
from niyanta.server.settings import CoordinatorSettings

__all__ = [
    "AffinityRequest",
    "BatchRequest",
    "BodyLimit",
    "ConstraintRequest",
    "Labels",
    "SubmitRequest",
    "body_limits",
    "check_idempotency_key",
    "check_labels",
    "check_values",
]


_TEXT = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{MAX_AFFINITY_TEXT_LENGTH}}}")

_Text = {"type": "string", "minLength": 1, "maxLength": MAX_AFFINITY_TEXT_LENGTH}
_Texts = {"maxItems": MAX_AFFINITY_ENTRIES, "items": _Text}
_Tags = {"maxProperties": MAX_AFFINITY_ENTRIES, "additionalProperties": _Text}


Labels = Annotated[
    dict[str, str],
    Meta(
        description="What lists find it by. Keys and values have letters, digits and, between these, - _ . and /; a "
        "value may be empty.",
        examples=[{"team": "video", "release": "2025.10"}],
        extra_json_schema={
            "maxProperties": MAX_LABELS,
            "additionalProperties": {"type": "string", "pattern": f"^{VALUE_PATTERN}$"},
        },
    ),
]


class BodyLimit(Enum):
    """How large a request may be."""

    ONE = "one"
    BATCH = "batch"


def body_limits(settings: CoordinatorSettings) -> Mapping[BodyLimit, int]:
    """How many bytes that is."""
    return {BodyLimit.ONE: settings.max_body_bytes, BodyLimit.BATCH: settings.max_batch_body_bytes}


class ConstraintRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One side of the affinity rules."""

    worker_id: Annotated[str, Meta(description="This worker.")] | None = None
    worker_tags: Annotated[dict[str, str], Meta(description="Tags a worker has.", extra_json_schema=_Tags)] | None = (
        None
    )
    workload_types: (
        Annotated[list[str], Meta(description="Types a worker serves (anti: runs).", extra_json_schema=_Texts)] | None
    ) = None


class AffinityRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Which workers may (hard), should (soft) and must not (anti) run a workload."""

    hard_affinity: ConstraintRequest | None = None
    soft_affinity: ConstraintRequest | None = None
    anti_affinity: ConstraintRequest | None = None


class SubmitRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A workload to run."""

    workload_type: Annotated[str, Meta(examples=["video_transcoding"])]
    input_params: Annotated[dict[str, Any], Meta(description="What the handler gets.")]
    priority: (
        Annotated[
            int,
            Meta(
                description="Higher goes first.",
                extra_json_schema={"minimum": 0, "maximum": MAX_PRIORITY, "default": DEFAULT_PRIORITY},
            ),
        ]
        | None
    ) = None
    affinity_rules: AffinityRequest | None = None
    timeout_seconds: (
        Annotated[
            int,
            Meta(
                description="Bounds one attempt's running time; wins over the config's.",
                extra_json_schema={"minimum": 1, "maximum": MAX_TIMEOUT_SECONDS},
            ),
        ]
        | None
    ) = None
    labels: Labels | UnsetType = UNSET
    """Left out of the form that idempotency keys compare, where it is left out."""


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Workloads to run, each accepted or refused by itself."""

    workloads: Annotated[list[SubmitRequest], Meta(min_length=1, max_length=MAX_BATCH)]


def check_idempotency_key(key: str | None) -> str | None:
    """The key as it is, or None when none was given.

    Raises:
        InvalidInputError: Empty, too long, or not printable ASCII.
    """
    if key is None or (1 <= len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH and key.isascii() and key.isprintable()):
        return key
    raise InvalidInputError(
        f"Idempotency-Key must have 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} printable ASCII characters",
        details={"field": "Idempotency-Key", "min_length": 1, "max_length": MAX_IDEMPOTENCY_KEY_LENGTH},
    )


def check_values(request: SubmitRequest) -> None:
    """Check all but the workload type and what depends on it.

    Raises:
        InvalidInputError: Says which field is wrong and what is allowed.
    """
    if request.priority is not None and not 0 <= request.priority <= MAX_PRIORITY:
        raise InvalidInputError(
            f"priority must be 0 to {MAX_PRIORITY}",
            details={"field": "priority", "minimum": 0, "maximum": MAX_PRIORITY},
        )
    timeout = request.timeout_seconds
    if timeout is not None and not 1 <= timeout <= MAX_TIMEOUT_SECONDS:
        raise InvalidInputError(
            f"timeout_seconds must be 1 to {MAX_TIMEOUT_SECONDS}",
            details={"field": "timeout_seconds", "minimum": 1, "maximum": MAX_TIMEOUT_SECONDS},
        )
    if request.labels:
        check_labels("labels", request.labels)
    rules = request.affinity_rules
    if rules is not None:
        for name in rules.__struct_fields__:
            side: ConstraintRequest | None = getattr(rules, name)
            if side is not None:
                _check_side(f"affinity_rules.{name}", side)


def check_labels(place: str, labels: Mapping[str, str]) -> None:
    """Check the labels that ``place`` names.

    Raises:
        InvalidInputError: There are too many, or one has other signs than are allowed.
    """
    if len(labels) > MAX_LABELS:
        raise InvalidInputError(
            f"{place} has {len(labels)} entries; {MAX_LABELS} are allowed",
            details={"field": place, "maximum": MAX_LABELS},
        )
    for key, value in labels.items():
        for what, text, fits, pattern in (
            ("key", key, is_key(key), KEY_PATTERN),
            ("value", value, is_value(value), VALUE_PATTERN),
        ):
            if not fits:
                raise InvalidInputError(
                    f"{place}: the {what} '{text[:MAX_LABEL_LENGTH]}' must have at most {MAX_LABEL_LENGTH} letters, "
                    f"digits and, between these, - _ . and /{'' if what == 'value' else '; not none'}",
                    details={"field": place, "allowed": pattern},
                )


def _check_side(place: str, side: ConstraintRequest) -> None:
    tags, kinds = side.worker_tags or {}, side.workload_types or []
    for field, entries in (("worker_tags", tags), ("workload_types", kinds)):
        if len(entries) > MAX_AFFINITY_ENTRIES:
            raise InvalidInputError(
                f"{place}.{field} has {len(entries)} entries; {MAX_AFFINITY_ENTRIES} are allowed",
                details={"field": f"{place}.{field}", "maximum": MAX_AFFINITY_ENTRIES},
            )
    texts = {"worker_tags": [*tags, *tags.values()], "workload_types": kinds}
    if side.worker_id is not None:
        texts["worker_id"] = [side.worker_id]
    for field, found in texts.items():
        if not all(map(_TEXT.fullmatch, found)):
            raise InvalidInputError(
                f"{place}.{field}: texts must have 1 to {MAX_AFFINITY_TEXT_LENGTH} characters "
                "and no control characters",
                details={"field": f"{place}.{field}", "min_length": 1, "max_length": MAX_AFFINITY_TEXT_LENGTH},
            )
