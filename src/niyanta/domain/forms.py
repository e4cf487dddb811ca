"""Forms of input: what one version of a workload type's handler takes.

While a fleet is upgraded, workers with different versions of one handler serve the same workload type. What tells
the versions apart, as far as a submission goes, is the JSON Schema of the handler's parameters. The name of a schema
is its *form*. A workload remembers the forms that its input doesn't fit, its *misfits*, and is never placed on a
worker that serves its type in one of them. Forms that nobody has tried yet are presumed to fit: the worker has the
last word, and a workload is refused once for each form at the most.
"""

from __future__ import annotations

import hashlib
import json

from niyanta.domain.json_value import Json

__all__ = ["ANY_FORM", "form_of", "key_without", "with_misfit"]


ANY_FORM = "any"
"""Of handlers that have no schema."""


def form_of(input_schema: Json) -> str:
    """The form's name: 12 hexadecimal digits, equal for equal schemas; `ANY_FORM` where there is none."""
    if input_schema is None:
        return ANY_FORM
    text = json.dumps(input_schema, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def with_misfit(misfits: str | None, form: str) -> str:
    """The names of all forms that don't fit, in order, with spaces between."""
    return " ".join(sorted({*(misfits or "").split(), form}))


def key_without(placement_key: int, form: str) -> int:
    """Names the placement class of workloads that are like those of a class, but don't fit one more form.

    In whatever order forms are left out, the class is the same. Never 0.
    """
    digest = hashlib.blake2b(form.encode(), digest_size=8).digest()
    return (placement_key ^ int.from_bytes(digest, "big", signed=True)) or 1
