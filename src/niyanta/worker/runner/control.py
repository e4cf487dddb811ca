"""A process's end of the control socket, for all the attempts that it serves.

One thread does what has to be done beside a handler. It writes to the socket, from a queue, so that frames stay whole
and in order whoever sends. It reads from the socket, also while nobody takes what is written, and ends the process
when the agent is gone while a handler runs. It keeps an alarm for the process's end. None of them waits for another.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from niyanta.worker.runner import channel

__all__ = ["Control", "lost"]

_CLOSE_SECONDS = 60.0
"""The last word may be a large result, and the agent busy. One that is gone is noticed at once, and of one that is
frozen the launcher ends the process with its lease."""
_CLOSED_STATUS = 1
_MOST_READ_BYTES = 1 << 16
_AGAIN_SECONDS = 0.05


class Control:
    """The socket with its thread.

    Args:
        control: The socket; kept from children that are executed.
        most_tries: How often starting a thread is tried again; what the handler has started may be ending.
    """

    def __init__(self, control: socket.socket, *, most_tries: int = 40) -> None:
        control.set_inheritable(False)
        self._control = control
        self._woken, self._waking = socket.socketpair()
        self._woken.shutdown(socket.SHUT_WR)  # a handler that writes to what it finds doesn't wait for a reader
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)
        self._thread = threading.Thread(target=self._go, name="niyanta-control", daemon=True)
        self._runs: SimpleQueue[channel.Run | None] = SimpleQueue()
        self._outgoing: deque[bytes | None] = deque()
        """Frames to be written; None ends the writing."""
        self._unsent = memoryview(b"")
        """Of the frame that is being written."""
        self._rests = False
        self._splitter = channel.FrameSplitter()
        self._alarm: _Alarm | None = None
        self._alarms = threading.Lock()
        self._most_tries = most_tries
        self._lock = threading.Lock()
        self._hearer: Callable[[channel.ToRunner], None] | None = None
        self._early: list[channel.ToRunner] = []
        """What was said to an attempt before it had begun to listen."""
        self._gone = False

    def start(self) -> None:
        """Begin to write and to read."""
        self._thread.start()

    def descriptors(self) -> tuple[int, ...]:
        """The sockets'."""
        return (self._control.fileno(), self._woken.fileno(), self._waking.fileno())

    @property
    def waiting(self) -> int:
        """How many messages are not written yet."""
        return len(self._outgoing)

    def send(self, message: channel.FromRunner) -> None:
        """Send a message after all that were sent before. Takes no lock and doesn't wait."""
        self._outgoing.append(channel.encode(message))
        self._wake()

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

    def alarm(self, seconds: float, action: Callable[[], None]) -> None:
        """Call it after that time, beside all else, while the process still is; instead of the alarm before."""
        alarm = _Alarm(time.monotonic() + seconds, action, self._most_tries)
        with self._alarms:
            before, self._alarm = self._alarm, alarm
        if not self._thread.is_alive():  # the agent is gone
            timer = threading.Timer(seconds, action)
            timer.daemon = True
            with contextlib.suppress(RuntimeError):  # there are as many threads as there may be
                timer.start()
        elif before is None or before.at > alarm.at:
            self._wake()

    def close(self) -> None:
        """Have all that was said written, but don't wait for ever."""
        self._outgoing.append(None)
        if threading.current_thread() is not self._thread:
            self._wake()
            self._thread.join(_CLOSE_SECONDS)
            return
        deadline = time.monotonic() + _CLOSE_SECONDS
        with contextlib.suppress(OSError):
            while self._write() and time.monotonic() < deadline:
                time.sleep(_AGAIN_SECONDS)

    def drop(self) -> None:
        """Let go of the sockets, in a process that goes on without them."""
        for one in (self._control, self._woken, self._waking):
            one.close()

    def _wake(self) -> None:
        if not self._rests:  # it looks once more after it has said so
            return
        try:
            self._waking.send(b"\0", socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass  # it was woken often enough
        except OSError:
            self._end()

    def _go(self) -> None:
        with contextlib.suppress(OSError):
            while self._write():
                if self._rest() and not self._read():
                    break
            else:
                return
        self._end()

    def _write(self) -> bool:
        """Write what can be written now. False after the last of it."""
        while True:
            if not self._unsent:
                if not self._outgoing:
                    return True
                if (frame := self._outgoing.popleft()) is None:
                    return False
                self._unsent = memoryview(frame)
            try:
                sent = self._control.send(self._unsent, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            self._unsent = self._unsent[sent:]

    def _rest(self) -> bool:
        """Wait for something to do. Gives whether there is something to read."""
        self._poll.register(self._control, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        self._rests = True
        due = self._due() if self._unsent or not self._outgoing else 0.0
        ready = dict(self._poll.poll(None if due is None else due * 1000))
        self._rests = False
        if self._woken.fileno() in ready:
            self._woken.recv(_MOST_READ_BYTES, socket.MSG_DONTWAIT)
        return bool(ready.get(self._control.fileno(), 0) & ~select.POLLOUT)

    def _due(self) -> float | None:
        """Seconds until the alarm; None without one. Begins its action when it is due."""
        with self._alarms:
            if (alarm := self._alarm) is None:
                return None
            if (left := alarm.at - time.monotonic()) > 0:
                return left
            self._alarm = None
        again = alarm.begun()
        with self._alarms:
            self._alarm = self._alarm or again
        return self._due()

    def _read(self) -> bool:
        """Take in what is there; False when the agent is gone."""
        try:
            data = self._control.recv(_MOST_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        for frame in self._splitter.feed(data):
            self._hear(channel.decode_to_runner(frame))
        return bool(data)

    def _hear(self, message: channel.ToRunner) -> None:
        with self._lock:
            if isinstance(message, channel.Run):
                self._early.clear()
                self._runs.put(message)
            elif self._hearer is not None:
                self._hearer(message)
            else:
                self._early.append(message)

    def _end(self) -> None:
        """Nothing can be said any more. Takes no lock: what `attach` does is done the other way round."""
        self._gone = True
        if self._hearer is not None:
            lost()
        self._runs.put(None)


class _Alarm:
    """What is to be done at a time, beside all else.

    Attributes:
        at: By the monotonic clock.
    """

    def __init__(self, at: float, action: Callable[[], None], tries: int) -> None:
        self.at = at
        self._action = action
        self._tries = tries

    def begun(self) -> _Alarm | None:
        """Do it in a thread of its own. Where none can be started, gives when to try again; does it here at last."""
        try:
            threading.Thread(target=self._action, name="niyanta-end", daemon=True).start()
        except RuntimeError:
            if self._tries:
                return _Alarm(time.monotonic() + _AGAIN_SECONDS, self._action, self._tries - 1)
            self._action()
        return None


def lost() -> None:
    """Nobody hears us any more: the agent is gone, or the handler has closed what is not its own."""
    try:
        os.write(2, b"the worker can't be reached any more: was its socket closed by the handler's code?\n")
    finally:
        os._exit(_CLOSED_STATUS)
