"""The launcher's end of its socket to the agent: commands with descriptors in, events out, never waiting."""

from __future__ import annotations

import array
import contextlib
import json
import socket

__all__ = ["MOST_DESCRIPTORS", "AgentChannel"]

MOST_DESCRIPTORS = 48
"""That may come with what is sent at once."""


class AgentChannel:
    """JSON lines both ways.

    Args:
        control: A connected Unix stream socket, which is the channel's from now on.
    """

    def __init__(self, control: socket.socket) -> None:
        control.set_inheritable(False)
        control.setblocking(False)
        self.control = control
        self.incoming = b""
        self.outgoing = b""
        self.fds: list[int] = []

    def fileno(self) -> int:
        """For `select`."""
        return self.control.fileno()

    def receive(self) -> list[dict[str, object]] | None:
        """The commands that have come; None when the agent is gone."""
        try:
            data, ancillary, _, _ = self.control.recvmsg(65536, socket.CMSG_SPACE(MOST_DESCRIPTORS * 4))
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
                self.fds += numbers
        if not data:
            return None
        *lines, self.incoming = (self.incoming + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def take_fds(self, count: int) -> list[int]:
        """The oldest descriptors that came with commands, now the caller's."""
        taken, self.fds = self.fds[:count], self.fds[count:]
        return taken

    def tell(self, event: dict[str, object]) -> None:
        """Never blocks: a frozen agent doesn't read, and its attempts must end all the same."""
        self.outgoing += json.dumps(event).encode() + b"\n"
        self.flush()

    @property
    def has_more_to_tell(self) -> bool:
        """Whether something waits until the agent takes it."""
        return bool(self.outgoing)

    def flush(self) -> None:
        """Send what waits, as much as the agent takes."""
        with contextlib.suppress(OSError):
            self.outgoing = self.outgoing[self.control.send(self.outgoing) :]
