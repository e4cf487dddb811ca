"""A process's end of the control socket, for all the attempts that it serves.

One thread reads from the socket, and ends the process when the agent is gone while a handler runs. Another alone
writes to it, from a queue, so that frames stay whole and in order whoever sends.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue

from niyanta.worker.runner import channel

__all__ = ["Control", "lost"]

_CLOSE_SECONDS = 60.0
"""The last word may be a large result, and the agent busy. One that is gone is noticed at once, and of one that is
frozen the launcher ends the process with its lease."""
_CLOSED_STATUS = 1


class Control:
    """The socket with its two threads.

    Args:
        control: The socket; kept from children that are executed.

    Attributes:
        outgoing: Frames to be written; None ends the writing.
    """

    def __init__(self, control: socket.socket) -> None:
        control.set_inheritable(False)
        self._control = control
        self._runs: SimpleQueue[channel.Run | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="niyanta-writer", daemon=True)
        self._reader = threading.Thread(target=self._read, name="niyanta-reader", daemon=True)
        self.outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._hearer: Callable[[channel.ToRunner], None] | None = None
        self._early: list[channel.ToRunner] = []
        """What was said to an attempt before it had begun to listen."""
        self._gone = False

    def start(self) -> None:
        """Begin to write and to read."""
        self._writer.start()
        self._reader.start()

    def descriptor(self) -> int:
        """The socket's."""
        return self._control.fileno()

    def send(self, message: channel.FromRunner) -> None:
        """Send a message after all that were sent before."""
        self.outgoing.put(channel.encode(message))

    def next_run(self) -> channel.Run | None:
        """Wait for an attempt; None when there will be none."""
        return self._runs.get()

    def attach(self, hearer: Callable[[channel.ToRunner], None]) -> None:
        """Begin an attempt: it hears what the agent says, and the process ends with the agent."""
        with self._lock:
            self._hearer = hearer
            for message in self._early:
                hearer(message)
            if self._gone:
                lost()

    def detach(self) -> None:
        """The attempt is over: nothing that is said before the next one concerns anybody."""
        with self._lock:
            self._hearer = None

    def close(self) -> None:
        """Have all that was said written, but don't wait for ever."""
        self.outgoing.put(None)
        self._writer.join(_CLOSE_SECONDS)

    def _write(self) -> None:
        while (data := self.outgoing.get()) is not None:
            try:
                self._control.sendall(data)
            except OSError:
                self._end()

    def _read(self) -> None:
        while (frame := channel.receive_frame(self._control)) is not None:
            message = channel.decode_to_runner(frame)
            with self._lock:
                if isinstance(message, channel.Run):
                    self._early.clear()
                    self._runs.put(message)
                elif self._hearer is not None:
                    self._hearer(message)
                else:
                    self._early.append(message)
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._gone = True
            if self._hearer is not None:
                lost()
        self._runs.put(None)


def lost() -> None:
    """Nobody hears us any more: the agent is gone, or the handler has closed what is not its own."""
    try:
        os.write(2, b"the worker can't be reached any more: was its socket closed by the handler's code?\n")
    finally:
        os._exit(_CLOSED_STATUS)
