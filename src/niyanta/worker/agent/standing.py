"""Which of a worker's types this machine can serve as their authors want it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from niyanta.domain.workers import Isolation, Wall
from niyanta.errors import ConfigurationError
from niyanta.worker.handlers.handler import Handler

__all__ = ["missing_walls", "refuse_unkeepable"]


def refuse_unkeepable(handlers: Iterable[Handler], walls: Collection[Wall]) -> None:
    """Refuse to serve a type whose box would have holes.

    Raises:
        ConfigurationError: Names the type and what is missing.
    """
    for handler in handlers:
        # Ids for attempts are the operator's choice, and not the machine's fault.
        if handler.strict and (missing := missing_walls(handler, {*walls, Wall.USER})):
            raise ConfigurationError(
                f"'{handler.workload_type}' is isolation='strict', and this machine can't keep it in: "
                f"missing {', '.join(missing)} (docs/workers.md says what each needs)"
            )
        if not handler.network and Wall.NETWORK not in walls:
            raise ConfigurationError(
                f"'{handler.workload_type}' is network='none', and this machine gives no process a network of its own"
            )


def missing_walls(handler: Handler, walls: Collection[Wall]) -> list[Wall]:
    """What doesn't keep a handler in on this machine: everything, for one that runs in the agent."""
    if handler.isolation is Isolation.INLINE:
        return list(Wall)
    return [wall for wall in Wall if wall not in walls]
