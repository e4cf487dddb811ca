"""PostgreSQL and NATS as child processes, from wheels, for one machine and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from niyanta.embedded.nats_server import Nats
from niyanta.embedded.postgres import Postgres

__all__ = ["Engines", "Nats", "Postgres"]


class Engines:
    """Both engines in one directory."""

    def __init__(self, data_dir: Path, *, extra_settings: Mapping[str, str] | None = None) -> None:
        self.postgres = Postgres(data_dir / "postgres", extra_settings=extra_settings)
        self.nats = Nats(data_dir / "nats")

    @property
    def database_url(self) -> str:
        return self.postgres.url

    @property
    def nats_url(self) -> str:
        return self.nats.url

    async def start(self) -> None:
        """Start both. If one fails, neither is left running."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.postgres.start())
                group.create_task(self.nats.start())
        except* Exception as failures:
            await self.stop()
            raise failures.exceptions[0] from None

    async def stop(self) -> None:
        """Stop both cleanly. Idempotent."""
        await asyncio.gather(self.postgres.stop(), self.nats.stop())
