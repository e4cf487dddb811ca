"""The workload types that a customer may submit, with what their input must be."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from niyanta.domain.json_value import Json
from niyanta.server.directory import Directory
from niyanta.server.store.customers import CustomerStore, Identity

__all__ = ["KnownType", "TypeService"]


@dataclass(frozen=True, slots=True)
class KnownType:
    """One type, and the JSON Schemas of its input."""

    workload_type: str
    is_served: bool
    """Whether a live worker serves it."""
    input_schemas: tuple[Json, ...]
    """Of the handlers that are live; an input must fit one of them. Handlers without one take any."""
    config_schema: Json
    """Of the customer's config; an input must fit it besides. None for none."""


class TypeService:
    """Tells what can be submitted at this moment.

    Args:
        directory: Knows the live workers.
        customers: Where configs are.
    """

    def __init__(self, directory: Directory, customers: CustomerStore) -> None:
        self._directory = directory
        self._customers = customers

    async def types(self, identity: Identity) -> list[KnownType]:
        """All of them, by name."""
        await self._directory.refresh_if_older(1.0)
        configured = await self._customers.configured_types(identity.customer_id)
        supported = await self._directory.supported(identity.customer_id)
        schemas = self._schemas(identity.customer_id)
        found = []
        for name in sorted(set(supported) | set(configured)):
            forms = supported[name].forms if name in supported else {}
            served = tuple(schema for form in forms if (schema := schemas.get((name, form))) is not None)
            own = configured.get(name)
            found.append(KnownType(name, bool(forms), served, None if own is None else msgspec.json.decode(own)))
        return found

    def _schemas(self, customer_id: str) -> dict[tuple[str, str], Json]:
        """By type and form of the input, as the live workers that work for the customer have told."""
        return {
            (handler.workload_type, worker.forms[handler.workload_type]): handler.input_schema
            for worker in self._directory.workers_for(customer_id)
            for handler in worker.handlers
        }
