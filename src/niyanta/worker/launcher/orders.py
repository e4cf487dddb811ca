"""The agent's commands on their way to the launcher."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Sequence

from niyanta.worker.launcher.channel import MOST_DESCRIPTORS

__all__ = ["Orders"]


class Orders:
    """Those to one launcher, in their order, with the descriptors that come with them."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[bytes, list[int]]] = asyncio.Queue()

    @property
    def wait(self) -> bool:
        """Whether some do until the launcher takes them."""
        return not self._waiting.empty()

    def add(self, fds: Sequence[int] = (), **command: object) -> None:
        """Queue one; the descriptors are closed once it is sent."""
        self._waiting.put_nowait((json.dumps(command).encode() + b"\n", list(fds)))

    async def send(self, launcher: socket.socket) -> None:
        """Send them, however slowly the launcher reads; end when it is gone.

        Those that wait go together: what is asked for at once is forked at once.
        """
        loop = asyncio.get_running_loop()
        while True:
            data, fds = await self._waiting.get()
            while len(fds) < MOST_DESCRIPTORS // 2 and self.wait:
                more_data, more_fds = self._waiting.get_nowait()
                data, fds = data + more_data, fds + more_fds
            try:
                while fds:
                    try:
                        data = data[socket.send_fds(launcher, [data], fds) :]
                        break
                    except BlockingIOError:
                        await asyncio.sleep(0.01)
                if data:
                    await loop.sock_sendall(launcher, data)
            except OSError:
                return
            finally:
                for fd in fds:
                    os.close(fd)
