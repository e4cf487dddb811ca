"""Commands on their way to the launcher."""

from __future__ import annotations

import asyncio
import os
import socket

from niyanta.worker.launcher.channel import AgentChannel
from niyanta.worker.launcher.orders import Orders


async def test_what_is_asked_for_at_once_arrives_at_once_with_its_descriptors() -> None:
    orders = Orders()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    launcher = AgentChannel(theirs)
    for number in range(30):
        orders.add(number=number, fds=[os.open(os.devnull, os.O_RDONLY) for _ in range(3)])
    sending = asyncio.create_task(orders.send(ours))
    received: list[object] = []
    times = 0
    while len(received) < 30:
        await asyncio.sleep(0)
        if found := launcher.receive():
            received += [command["number"] for command in found]
            times += 1
            came = launcher.take_fds(3 * len(found))
            assert len(came) == 3 * len(found)
            for fd in came:
                os.close(fd)
            assert launcher.fds == []
    assert received == list(range(30))
    assert times < 6
    sending.cancel()
    ours.close()
    theirs.close()
