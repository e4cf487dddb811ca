"""What the operator of a worker lets its customers name.

Customers write the addresses, and the worker opens them with its own rights and credentials. So nothing is open that
isn't named here:

- ``EXAMPLES_ROOT``: folders, with ``:`` between them. Local paths must lie below one, links followed.
  ``niyanta-examples`` in the home directory when it isn't set.
- ``EXAMPLES_S3``: buckets or prefixes, each with the customer who may use it or ``*`` for all, and spaces between
  them: ``cust_acme=s3://acme-media *=s3://input``. None when it isn't set.

``{customer}`` in either stands for the customer's id: ``/srv/media/{customer}``, ``*=s3://media/{customer}``.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from niyanta.errors import ConfigurationError, PermanentError
from niyanta.worker import SyncContext

__all__ = ["Allowed"]

_PLACEHOLDER = "{customer}"
_DEFAULT_FOLDER = "niyanta-examples"


@dataclass(frozen=True)
class Allowed:
    """What one customer may name."""

    roots: tuple[Path, ...]
    """Folders of this machine, links resolved."""
    objects: tuple[str, ...] = ()
    """``bucket`` or ``bucket/prefix``."""

    @classmethod
    def by_operator(cls, customer_id: str | None, environment: Mapping[str, str] = os.environ) -> Allowed:
        """Read the two variables.

        Args:
            customer_id: None when it isn't known; then only what is for all counts.
            environment: The worker's.

        Raises:
            ConfigurationError: One of them isn't written as it should be.
        """
        roots = [path for path in environment.get("EXAMPLES_ROOT", "").split(":") if path]
        roots = roots or _default_roots()
        if relative := [path for path in roots if not path.startswith("/")]:
            raise ConfigurationError(f"EXAMPLES_ROOT: '{relative[0]}' must be an absolute path")
        objects = [_object_rule(rule) for rule in environment.get("EXAMPLES_S3", "").split()]
        return cls(
            tuple(Path(os.path.realpath(path)) for path in _for_customer(roots, customer_id)),
            tuple(_for_customer([prefix for who, prefix in objects if who in ("*", customer_id)], customer_id)),
        )

    @classmethod
    def folders(cls, environment: Mapping[str, str] = os.environ) -> list[str]:
        """The folders in which all that any customer may name lies."""
        roots = [path for path in environment.get("EXAMPLES_ROOT", "").split(":") if path] or _default_roots()
        return [
            os.path.dirname(root.partition(_PLACEHOLDER)[0] + "x") if _PLACEHOLDER in root else root for root in roots
        ]

    @classmethod
    def for_attempt(cls, ctx: SyncContext) -> Allowed:
        """What the customer of this attempt may name."""
        return cls.by_operator(ctx.customer_id)

    def check_object(self, bucket: str, key: str, field: str) -> None:
        """Refuse an object that isn't allowed.

        Raises:
            PermanentError: Names the field.
        """
        # As it is written, and as a store or something before it may read it that takes ``..`` for a step back.
        readings = (f"{bucket}/{key}", posixpath.normpath(f"{bucket}/{key}"))
        if not all(any(f"{read}/".startswith(f"{prefix}/") for prefix in self.objects) for read in readings):
            raise PermanentError(
                f"{field}: this worker may not use s3://{bucket}/{key} for you; "
                "its operator can allow it (EXAMPLES_S3)"
            )


def _default_roots() -> list[str]:
    try:
        return [str(Path.home() / _DEFAULT_FOLDER)]
    except RuntimeError:  # this user has no home
        return []


def _object_rule(rule: str) -> tuple[str, str]:
    who, separator, address = rule.partition("=")
    prefix = address.removeprefix("s3://").rstrip("/")
    if not who or not separator or not prefix or not address.startswith("s3://"):
        raise ConfigurationError(
            f"EXAMPLES_S3: '{rule}' must look like cust_acme=s3://bucket/prefix, or *=s3://bucket for all customers"
        )
    return who, prefix


def _for_customer(texts: list[str], customer_id: str | None) -> list[str]:
    return [
        text.replace(_PLACEHOLDER, customer_id or "")
        for text in texts
        if customer_id is not None or _PLACEHOLDER not in text
    ]
