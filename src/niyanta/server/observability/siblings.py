"""Metrics of all processes that share a port: whichever is asked tells those of each.

A scrape meets one of them, each time another. So each tells its own to the others over a socket in their parent's
folder, and what is asked puts all together, each series with the process's number as a label. With the label a
counter that begins anew, as its process was started again, is seen to. One that doesn't answer is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from niyanta.server.member import Member

__all__ = ["Siblings", "together"]

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 3.0


class Siblings:
    """The processes beside this one.

    Args:
        member: Who this one is.
        own: Reads this one's metrics, in the text format of Prometheus.
    """

    def __init__(self, member: Member, own: Callable[[], Awaitable[bytes]]) -> None:
        self._member = member
        self._own = own

    async def run(self) -> None:
        """Tell the others this one's metrics, until cancelled."""
        place = self._member.metrics_socket(self._member.number)
        place.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._tell, place)
        async with server:
            await server.serve_forever()

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await self._own())
            await writer.drain()
        except OSError as error:
            log.debug("metrics.not_told", extra={"error": str(error)})
        finally:
            writer.close()

    async def scrape(self) -> bytes:
        """Everybody's."""
        numbers = range(1, self._member.of + 1)
        found = await asyncio.gather(*(self._ask(number) for number in numbers))
        texts = {number: text for number, text in zip(numbers, found, strict=True) if text}
        return await asyncio.to_thread(together, texts)

    async def _ask(self, number: int) -> bytes:
        if number == self._member.number:
            return await self._own()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._member.metrics_socket(number))
                try:
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            log.warning("metrics.process_left_out", extra={"number": number, "error": str(error)})
            return b""


def together(texts: Mapping[int, bytes]) -> bytes:
    """Metrics of several processes as one text, each series with its process's number as a label."""
    heads: dict[bytes, list[bytes]] = {}
    series: dict[bytes, list[bytes]] = {}
    for number, text in texts.items():
        label = b'process="%d"' % number
        seen: set[bytes] = set(heads)
        name = b""
        for line in text.splitlines(keepends=True):
            if line.startswith(b"#"):
                name = line.split(b" ", 3)[2]
                if name not in seen:
                    heads.setdefault(name, []).append(line)
            else:
                series.setdefault(name, []).append(_labelled(line, label))
    return b"".join(b"".join([*lines, *series.get(name, ())]) for name, lines in heads.items())


def _labelled(line: bytes, label: bytes) -> bytes:
    name, space, value = line.partition(b" ")
    has_labels = b"{" in name
    if has_labels:
        name, _, labels = line.partition(b"{")
        return b"%s{%s,%s" % (name, label, labels)
    return b"%s{%s}%s%s" % (name, label, space, value)
