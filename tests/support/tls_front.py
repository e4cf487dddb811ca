"""A front that speaks TLS for a PostgreSQL that was built without it, as a pooler in front of one does."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from support.certificates import Issued

__all__ = ["secured_database"]

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@contextlib.asynccontextmanager
async def secured_database(url: str, shown: Issued) -> AsyncIterator[str]:
    """The URL of the front; it takes nobody who doesn't ask for TLS.

    Args:
        url: Of the database.
        shown: The front's certificate.
    """
    place = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.cert, shown.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(context)
                inside = await asyncio.open_connection(place.hostname, place.port)
                await asyncio.gather(_pass_on(reader, inside[1]), _pass_on(inside[0], writer))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        login, _, _ = place.netloc.rpartition("@")
        yield place._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
