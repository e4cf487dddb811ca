"""What a program answers on one subject: who is let in, how many at once, and whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from nats.aio.client import NO_RESPONDERS_STATUS
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import Header

from niyanta.wire.cancels import heeded
from niyanta.wire.frames import FRAME_BYTES, BadFramesError, frames_of, take_frames

__all__ = [
    "MOST_AT_ONCE",
    "MOST_FRAMED_BYTES",
    "WHO_IS_THERE",
    "Doorkeeper",
    "FramedBytes",
    "Guest",
    "Responder",
    "Service",
]

log = logging.getLogger(__name__)

MOST_AT_ONCE = 5000
"""Messages of one subject that are answered at the same time; more wait their turn, in a queue with an end."""
MOST_FRAMED_BYTES = 256 * 1024 * 1024
"""Of framed messages that are being taken or answered: what comes beyond gets no answer, and is sent again."""
WHO_IS_THERE = ".who"
"""Behind a subject that a queue group serves: each member says that it is there, but for the one that is named."""
_MOST_PENDING = 65536
_MOST_PENDING_BYTES = 256 << 20

Responder = Callable[[bytes], Awaitable[bytes | None]]
"""Takes a whole message, gives the reply (None: no reply)."""


@dataclass(frozen=True, slots=True)
class Guest:
    """One message that is let in: who answers it, and whom to tell when that is done.

    Attributes:
        answer: Gives the reply.
        left: Called when nothing more is done for it.
        inbox: What its reply subjects must begin with: what is sent there has the rights of whoever serves, so a
            sender mustn't have it sent to others. Empty where every sender is trusted.
    """

    answer: Responder
    left: Callable[[], None]
    inbox: str = ""


Doorkeeper = Callable[[str, int], Guest | None]
"""Asked with a message's subject and its size in bytes; None when it is to be dropped."""


@dataclass(slots=True)
class FramedBytes:
    """How much is being taken in frames by all services of a link."""

    now: int = 0


def _says_that_nobody_listens(msg: Msg) -> bool:
    """Whether the broker says it of an answer, whose asker is gone: to where that answer said that it is from."""
    return msg.headers is not None and msg.headers.get(Header.STATUS) == NO_RESPONDERS_STATUS


class Service:
    """Answers messages on a subject, each in a task of its own.

    A handler that raises is logged, and the sender gets no reply (it will send again).

    Args:
        nc: The link.
        subject: May hold wildcards.
        doorkeeper: Decides on each message before anything is done for it.
        queue_group: Shared by those of whom one is to answer; empty for none.
        framed: Counts for all services together.
    """

    def __init__(
        self, nc: NatsClient, subject: str, doorkeeper: Doorkeeper, queue_group: str, framed: FramedBytes
    ) -> None:
        self._nc = nc
        self._subject = subject
        self._doorkeeper = doorkeeper
        self._queue_group = queue_group
        self._framed = framed
        # Where this member of the group alone is asked, by those whom it has answered.
        self._own = f".{uuid.uuid4().hex}" if queue_group else ""
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Take what is sent from now on. Does nothing when it does already.

        Raises:
            NatsError: The link is down.
        """
        if self._subscriptions:
            return
        subscriptions: list[Subscription] = []
        places = [(self._subject, self._queue_group)]
        if self._own:
            places += [(self._subject + self._own, ""), (self._subject + WHO_IS_THERE, "")]
        try:
            with heeded():
                for subject, group in places:
                    subscriptions.append(
                        await self._nc.subscribe(
                            subject,
                            queue=group,
                            cb=self._received,
                            pending_msgs_limit=_MOST_PENDING,
                            pending_bytes_limit=_MOST_PENDING_BYTES,
                        )
                    )
                await self._nc.flush()
        except BaseException:
            await _end(subscriptions)  # or each message would be taken twice after the next try
            raise
        self._subscriptions = subscriptions

    async def pause(self) -> None:
        """Take nothing more, so that others of the queue group do."""
        subscriptions, self._subscriptions = self._subscriptions, []
        await _end(subscriptions, gently=True)

    async def cancel(self) -> None:
        """End the handlers under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _received(self, msg: Msg) -> None:
        try:
            frames = frames_of(msg)
        except BadFramesError as exc:
            log.warning("broker.framed_message_refused", extra={"why": str(exc)})
            return
        size = frames * FRAME_BYTES
        guest = self._doorkeeper(msg.subject, size or len(msg.data))
        if guest is None:
            return
        if msg.reply and not msg.reply.startswith(guest.inbox):
            log.warning("broker.reply_misdirected", extra={"subject": msg.subject})
            guest.left()
            return
        if _says_that_nobody_listens(msg):
            guest.left()
            return
        if self._own and msg.subject.endswith(WHO_IS_THERE):
            guest.left()
            await self._say_here(msg)
            return
        await self._turns.acquire()

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._turns.release()
            guest.left()

        task = asyncio.ensure_future(
            self._take_framed(msg, frames, guest) if frames else self._answer(msg, msg.data, msg.reply, guest)
        )
        self._tasks.add(task)
        task.add_done_callback(done)

    async def _say_here(self, msg: Msg) -> None:
        address = msg.subject.removesuffix(WHO_IS_THERE) + self._own
        if msg.reply and msg.data != address.encode():
            try:
                await self._nc.publish(msg.reply, b"", reply=address)
            except (NatsError, OSError) as exc:
                log.warning("broker.reply_lost", extra={"error": str(exc)})

    async def _take_framed(self, first: Msg, frames: int, guest: Guest) -> None:
        size = frames * FRAME_BYTES
        if self._framed.now + size > MOST_FRAMED_BYTES:
            log.warning("broker.framed_message_put_off", extra={"frames": frames})
            return
        self._framed.now += size
        try:
            whole, reply_to = await take_frames(self._nc, first, frames, guest.inbox)
            await self._answer(first, whole, reply_to, guest)
        except (NatsError, BadFramesError, TimeoutError, OSError) as exc:
            log.warning("broker.framed_message_incomplete", extra={"error": str(exc)})
        finally:
            self._framed.now -= size

    async def _answer(self, msg: Msg, payload: bytes, reply_to: str, guest: Guest) -> None:
        try:
            reply = await guest.answer(payload)
            if reply is not None and reply_to:
                await self._nc.publish(
                    reply_to, reply, reply=self._own and msg.subject.removesuffix(self._own) + self._own
                )
        except asyncio.CancelledError:
            raise
        except (NatsError, OSError) as exc:
            log.warning("broker.reply_lost", extra={"error": str(exc)})
        except Exception:
            log.exception("broker.handler_failed", extra={"subject": msg.subject})


async def _end(subscriptions: Iterable[Subscription], *, gently: bool = False) -> None:
    """Take nothing more; gently: but what the server has sent before it hears of that."""
    for subscription in subscriptions:
        try:
            with heeded():
                await (subscription.drain() if gently else subscription.unsubscribe())  # type: ignore[no-untyped-call]
        except (NatsError, OSError, TimeoutError) as exc:
            log.info("broker.not_unsubscribed", extra={"subject": subscription.subject, "error": str(exc)})
            with contextlib.suppress(NatsError, OSError):  # or it would be there again with the link
                await subscription.unsubscribe()
