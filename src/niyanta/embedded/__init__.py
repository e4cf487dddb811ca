"""PostgreSQL and NATS as child processes, from wheels, for one machine and for tests.

Who holds what, and what follows from it:

- A data directory belongs to whoever holds the lock on its ``lock`` file. The program takes it and passes the open
  file on to the guardian and the engine, so it is free once all of them are gone. Two servers never share it.
- The program holds one end of a socket pair, the guardian the other. However the program ends, the guardian sees the
  end of file and stops the engine. If the guardian is killed, the kernel tells the engine to stop.
- ``engine.json`` (mode 0600) keeps the password and the port from one start to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from niyanta.embedded.nats_server import Nats
from niyanta.embedded.postgres import Postgres

__all__ = ["Engines", "Nats", "Postgres"]


class Engines:
    """Both engines in one directory, each in a folder of its own."""

    def __init__(self, data_dir: Path, *, extra_settings: Mapping[str, str] | None = None) -> None:
        self.postgres = Postgres(data_dir / "postgres", extra_settings=extra_settings)
        self.nats = Nats(data_dir / "nats")

    @property
    def database_url(self) -> str:
        """PostgreSQL's URL, password included; good once it has started."""
        return self.postgres.url

    @property
    def nats_url(self) -> str:
        """NATS's URL, token included; good once it has started."""
        return self.nats.url

    async def start(self) -> None:
        """Start both at once. If one fails, or the caller is cancelled, neither is left running. Idempotent.

        Raises:
            ConfigurationError: A directory is in use, a wheel is missing, or an engine won't start.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.postgres.start())
                group.create_task(self.nats.start())
        except BaseExceptionGroup as failures:
            await self.stop()
            raise failures.exceptions[0] from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop both cleanly, by force after five seconds. Idempotent."""
        results = await asyncio.gather(self.postgres.stop(), self.nats.stop(), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
