"""The connection to NATS that never gives up, and large messages in frames.

NATS refuses a message over its ``max_payload`` (1 MB by default). A larger one is cut into frames: the
first goes to the subject proper with the header ``Niyanta-Frames: n``, its receiver answers with a private
subject, and the rest go there one by one, each acknowledged; the reply to the last frame is the reply to the
whole. Of a large message for which no reply is wanted (`Niyanta-Reply: none`) the last frame is acknowledged like the
others. A receiver keeps an unfinished message for `FRAME_TIMEOUT_SECONDS` and at most `MAX_MESSAGE_BYTES`.

Of several that serve a subject as a queue group, requests go to one that has answered: see `niyanta.wire.choice`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import uuid
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from niyanta.errors import ConfigurationError, ConnectionFailedError
from niyanta.wire.addresses import Addresses, BrokerTls
from niyanta.wire.cancels import heeded
from niyanta.wire.choice import GroupChoice
from niyanta.wire.frames import FRAME_BYTES, FRAMES_HEADER, NO_REPLY, REPLY_HEADER
from niyanta.wire.link import NatsLink, OpenBrokerError
from niyanta.wire.login import Login
from niyanta.wire.opening import CONNECT_SECONDS, OPEN_BROKER, UNTRUSTED_BROKER, credentials, failed, try_first
from niyanta.wire.serving import WHO_IS_THERE, Doorkeeper, FramedBytes, Guest, Responder, Service

__all__ = ["FRAME_BYTES", "Broker", "Responder"]

log = logging.getLogger(__name__)

_PING_SECONDS = 1
_MOST_PINGS_MISSING = 3
_ROLL_CALL_SECONDS = 1.0


class Broker:
    """One connection to NATS: publish, request, serve.

    Reconnects for ever, to another server where there are several; notices a dead link within four seconds (a ping
    each second, three may be missing), so that a worker has moved to another server before its lease is over; and
    buffers nothing while disconnected: callers own what must survive, and send it again.

    Args:
        urls: Of the server, or of several with commas between; see `Addresses`.
        name: Of this client, for the server's own reports.
        stay_seconds: How long requests go to whom of a queue group answered first, until the group is asked again.
        login: Shown instead of what stands in the URL; None for a broker that isn't closed.
        tls: Files for a broker that speaks TLS.

    Attributes:
        connected: Whether the link stands at this moment.
        interruptions: How often the link was lost so far; the monitor's brake looks at it.
    """

    def __init__(
        self,
        urls: str,
        *,
        name: str,
        stay_seconds: float = 30.0,
        login: Login | None = None,
        tls: BrokerTls = BrokerTls(),  # noqa: B008 -- frozen
    ) -> None:
        self._urls = urls
        self._tls = tls
        self._login = login
        self._name = name
        self._stay_seconds = stay_seconds
        self._choices: dict[str, GroupChoice] = {}
        """By subject that a queue group serves."""
        self._nc = NatsLink(login)
        self._subscriptions: list[Subscription] = []
        self._services: dict[str, Service] = {}
        """By the subject that is served."""
        self._framed = FramedBytes()
        self._closing = False
        self._is_opened = False
        self.interruptions = 0
        self.on_reconnect: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        """Whether the link is up, as far as is known."""
        return self._nc.is_connected

    async def connect(self, *, timeout_seconds: float = 10.0) -> None:
        """Open the link.

        Raises:
            ConfigurationError: No address, or one that can't be read.
            ConnectionFailedError: Nothing answers at any address.
            BrokerRefusedError: It refuses the credentials.
        """
        addresses = Addresses.parse(self._urls, self._tls)
        try:
            with heeded():
                async with asyncio.timeout(timeout_seconds):
                    await try_first(addresses, self._login)
                    await self._open(addresses)
        except OpenBrokerError as exc:
            raise ConfigurationError(OPEN_BROKER) from exc
        except ssl.SSLCertVerificationError as exc:
            raise ConnectionFailedError(UNTRUSTED_BROKER.format(why=exc.verify_message)) from exc
        except (NatsError, OSError, TimeoutError) as exc:
            raise ConnectionFailedError(
                f"cannot reach the broker: {str(exc) or type(exc).__name__}. "
                "Is NATS running there, and is the URL (nats://host:4222) right?"
            ) from exc

    async def _open(self, addresses: Addresses) -> None:
        async def disconnected() -> None:
            self.interruptions += 1
            log.log(logging.DEBUG if self._closing else logging.WARNING, "broker.disconnected")

        async def reconnected() -> None:
            log.info("broker.reconnected")
            for callback in self.on_reconnect:
                callback()

        self._nc = NatsLink(self._login, addresses)
        self._is_opened = True
        inbox = self._login.inbox if self._login is not None else ""
        await self._nc.connect(
            servers=list(addresses.servers),
            name=self._name,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=CONNECT_SECONDS,
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=_MOST_PINGS_MISSING,
            pending_size=0,
            no_echo=True,  # a coordinator hears of its own changes at once, and not again from the broker
            flusher_queue_size=4096,
            inbox_prefix=(inbox or f"_INBOX.{uuid.uuid4().hex}").encode(),
            disconnected_cb=disconnected,
            reconnected_cb=reconnected,
            error_cb=failed,
            **(self._nc.credentials() or credentials(addresses)),
        )

    def cut(self) -> None:
        """Cut the link, from any thread, as a loop that is stuck can't. It is opened again when the loop goes on."""
        link = self._nc._transport  # nothing public leads to it
        writer = getattr(link, "_io_writer", None)
        if writer is None or (opened := writer.get_extra_info("socket")) is None:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(opened.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Close the link and end the handlers under way. Idempotent."""
        self._closing = True
        await asyncio.gather(*(service.cancel() for service in self._services.values()))
        if self._is_opened and not self._nc.is_closed:
            await self._nc.close()

    async def publish(self, subject: str, payload: bytes, *, timeout_seconds: float = 10.0) -> None:
        """Send and hope: the broker may lose it. Large messages are framed, and waited for until they have arrived.

        Raises:
            ConnectionFailedError: The link is down, or (large messages only) nobody took the message.
        """
        if len(payload) > FRAME_BYTES:
            await self._request(subject, payload, {REPLY_HEADER: NO_REPLY}, timeout_seconds)
            return
        if not self.connected:
            raise ConnectionFailedError("the broker is away")
        try:
            await self._nc.publish(subject, payload)
        except (NatsError, OSError) as exc:
            raise ConnectionFailedError(f"the broker is away: {exc}") from exc

    async def request(self, subject: str, payload: bytes, *, timeout_seconds: float) -> bytes:
        """Send, and wait for the reply.

        Raises:
            ConnectionFailedError: No reply in time, nobody listens, or the link is down. What the other side
                did is unknown then.
        """
        return await self._request(subject, payload, {}, timeout_seconds)

    async def _request(self, subject: str, payload: bytes, headers: dict[str, str], timeout_seconds: float) -> bytes:
        if not self.connected:
            raise ConnectionFailedError("the broker is away")
        choice = self._choices.get(subject)
        address = choice.address if choice is not None else ""
        try:
            try:
                reply = await self._send_whole(address or subject, payload, headers, timeout_seconds)
            except NoRespondersError:
                if choice is None or not address:
                    raise
                choice.gone()  # or it takes nothing at the moment
                address = ""
                reply = await self._send_whole(subject, payload, headers, timeout_seconds)
        except (NatsTimeoutError, TimeoutError) as exc:
            await self._choose_another(subject, address)
            raise ConnectionFailedError(f"no reply within {timeout_seconds:g} s") from exc
        except NoRespondersError as exc:
            raise ConnectionFailedError("nobody listens at the other side") from exc
        except (NatsError, OSError) as exc:
            raise ConnectionFailedError(f"the broker is away: {exc}") from exc
        self._note(subject, reply)
        return reply.data

    def _note(self, subject: str, reply: Msg) -> None:
        if reply.reply:
            self._choices.setdefault(subject, GroupChoice(self._stay_seconds)).answered(reply.reply)

    async def _choose_another(self, subject: str, silent: str) -> None:
        """After silence: take whoever of the group says first that it is there."""
        if (choice := self._choices.get(subject)) is not None:
            choice.gone()
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            self._note(subject, await self._ask(subject + WHO_IS_THERE, silent.encode(), {}, _ROLL_CALL_SECONDS))

    async def _send_whole(self, subject: str, payload: bytes, headers: dict[str, str], timeout_seconds: float) -> Msg:
        if len(payload) <= FRAME_BYTES:
            return await self._ask(subject, payload, {}, timeout_seconds)
        async with asyncio.timeout(timeout_seconds):
            return await self._request_framed(subject, payload, headers, timeout_seconds)

    async def _request_framed(
        self, subject: str, payload: bytes, headers: dict[str, str], timeout_seconds: float
    ) -> Msg:
        frames = [payload[i : i + FRAME_BYTES] for i in range(0, len(payload), FRAME_BYTES)]
        reply = await self._ask(subject, frames[0], {FRAMES_HEADER: str(len(frames)), **headers}, timeout_seconds)
        for frame in frames[1:]:
            private = reply.reply
            if not private:
                raise ConnectionFailedError("the other side doesn't take large messages")
            reply = await self._ask(private, frame, {}, timeout_seconds)
        return reply

    async def _ask(self, subject: str, payload: bytes, headers: dict[str, str], timeout_seconds: float) -> Msg:
        with heeded():
            return await self._nc.request(subject, payload, timeout=timeout_seconds, headers=headers or None)

    async def serve(self, subject: str, handler: Responder, *, queue_group: str = "") -> None:
        """Answer messages on a subject, each in a task of its own, whoever sends them.

        A handler that raises is logged, and the sender gets no reply (it will send again).
        """
        guest = Guest(handler, lambda: None)
        await self.serve_guests(subject, lambda *_: guest, queue_group=queue_group)

    async def serve_guests(self, subject: str, doorkeeper: Doorkeeper, *, queue_group: str = "") -> None:
        """The same, of messages that a doorkeeper lets in; the subject may hold wildcards."""
        service = Service(self._nc, subject, doorkeeper, queue_group, self._framed)
        await service.begin()
        self._services[subject] = service

    async def suspend(self, subject: str) -> None:
        """Take nothing more that is sent to a subject served here, so that others of its queue group do."""
        await self._services[subject].pause()

    async def resume(self, subject: str) -> None:
        """Serve a subject again that was suspended."""
        try:
            await self._services[subject].begin()
        except (NatsError, TimeoutError, OSError) as exc:
            log.info("broker.not_resumed", extra={"subject": subject, "error": str(exc)})

    async def overhear(self, subject: str, heard: Callable[[bytes], None]) -> None:
        """Listen to what others say to each other on a subject; they don't notice. Large messages are left out."""

        async def received(msg: Msg) -> None:
            if not ((msg.headers and FRAMES_HEADER in msg.headers) or msg.subject.endswith(WHO_IS_THERE)):
                heard(msg.data)

        for spoken in (subject, f"{subject}.*"):  # to the group, and to one of its members
            self._subscriptions.append(await self._nc.subscribe(spoken, cb=received))
        await self._nc.flush()
