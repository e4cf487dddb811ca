"""A listener that speaks TLS, in place of the one that uvicorn asks asyncio for.

asyncio shows a connection to nobody before its handshake is over, so that connections which never finish theirs would
be counted by nobody and cut only after a minute. Here a connection is a stranger from its first packet on: its
handshake has little time, and when there are too many strangers, it makes room as others do. Each begins with the
certificate that is current at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable

from niyanta.server.access.certificates import Certificates
from niyanta.server.rest.uvicorn.strangers import Strangers

__all__ = ["TlsListener"]

log = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 5.0
"""How long a peer has to agree that a connection ends; then it is cut."""
_NO_DESCRIPTOR_SECONDS = 0.5
_COMPLAIN_SECONDS = 1.0


class TlsListener:
    """Accepts connections on one socket until it is closed; to uvicorn what `asyncio.Server` is.

    Args:
        listening: Bound, listening, and not blocking.
        protocol: Makes the protocol of a connection, which begins once the handshake is over.
        certificates: What to show.
        strangers: Where connections are counted during the handshake.
        seconds: How long a handshake may take.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        certificates: Certificates,
        strangers: Strangers,
        seconds: float,
    ) -> None:
        self._listening = listening
        self._protocol = protocol
        self._certificates = certificates
        self._strangers = strangers
        self._seconds = seconds
        self._handshakes: set[asyncio.Task[None]] = set()
        self._complaints = _Complaints()
        self._accepting = asyncio.create_task(self._accept(), name="tls listener")

    def close(self) -> None:
        """Accept no more, and give up the handshakes under way. Idempotent."""
        for task in (self._accepting, *self._handshakes):
            task.cancel()

    async def wait_closed(self) -> None:
        """Until that has been seen to."""
        await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listening)
            except ConnectionError:
                continue
            except OSError as exc:  # no descriptor is left: some will be
                log.error("tls.cannot_accept", extra={"error": str(exc)})
                await asyncio.sleep(_NO_DESCRIPTOR_SECONDS)
                continue
            task = loop.create_task(self._shake_hands(accepted, str(address[0])))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, accepted: socket.socket, source: str) -> None:
        arriving = _Arriving(accepted)
        self._strangers.enter(arriving, source)
        try:
            with contextlib.suppress(OSError):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=self._certificates.current.context,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except ssl.SSLError as exc:
            self._complaints.tell(source, exc.reason or str(exc))
        except OSError:  # it went away, or took too long
            pass
        finally:
            self._strangers.leave(arriving)


class _Arriving:
    """A connection whose handshake is under way."""

    is_busy = False

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted

    def send_away(self) -> None:
        """Cut it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class _Complaints:
    """Handshakes that failed, in the log: one of each kind in a second, and how many were left out."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def tell(self, source: str, reason: str) -> None:
        """Note that one failed; the reasons are OpenSSL's, of which there are few."""
        now = time.monotonic()
        if now - self._told_at.get(reason, -_COMPLAIN_SECONDS) < _COMPLAIN_SECONDS:
            self._left_out[reason] = self._left_out.get(reason, 0) + 1
            return
        self._told_at[reason] = now
        told = {"source": source, "reason": reason, "not_told": self._left_out.pop(reason, 0)}
        if reason in ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST"):
            log.warning(
                "tls.plain_http: a client spoke plain HTTP to a port that speaks TLS; its address must begin with https://",
                extra=told,
            )
        else:
            log.warning("tls.handshake_failed", extra=told)
