"""The control socket of an attempt's process."""

from __future__ import annotations

import socket
import threading

from niyanta.worker.runner import channel
from niyanta.worker.runner.control import Control


def test_the_last_word_is_waited_for_while_the_agent_is_busy() -> None:
    """A result is larger than what the socket holds, and nobody reads for a while."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        control = Control(ours)
        control.start()
        said = channel.Done(b'"' + b"x" * (1 << 20) + b'"')
        control.send(said)
        closing = threading.Thread(target=control.close)
        closing.start()
        closing.join(1.5)
        assert closing.is_alive()
        frame = channel.receive_frame(theirs)
        assert frame is not None
        assert said.result_json in frame
        closing.join(10)
        assert not closing.is_alive()
