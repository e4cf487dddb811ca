"""What handlers say, shown by ``niyanta dev`` as they say it.

It is overheard from what the workers report to the coordinator, so it needs no setting of theirs and takes nothing
from anybody. The workload's log, which keeps all of it, is the coordinator's.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from datetime import UTC, datetime

import msgspec

from niyanta.cli.following import log_text
from niyanta.cli.output import echo
from niyanta.client.models import LogLine
from niyanta.domain.records import LogLevel
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.wire import messages
from niyanta.wire.addresses import BrokerTls
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import ANY_SENDER, Subjects

__all__ = ["HandlerOutput"]

_REMEMBERED = 10_000  # attempts whose last line is known, so that what is sent again isn't shown again


class HandlerOutput:
    """Prints log lines and progress messages of all attempts."""

    def __init__(self, nats_url: str, keys: BrokerKeys | None) -> None:
        login = None if keys is None else keys.login
        self._broker = Broker(nats_url, name="dev", login=login, tls=BrokerTls.by(os.environ))
        self._subjects = Subjects(sender="" if keys is None else ANY_SENDER)
        self._decode = msgspec.msgpack.Decoder(messages.EventBatch).decode
        self._shown: OrderedDict[tuple[str, int], int] = OrderedDict()

    async def start(self) -> None:
        """Begin to listen."""
        await self._broker.connect()
        await self._broker.overhear(self._subjects.events, self._hear)

    async def stop(self) -> None:
        """Idempotent."""
        await self._broker.close()

    def _hear(self, payload: bytes) -> None:
        try:
            batch = self._decode(payload)
        except msgspec.MsgspecError:
            return  # another version's; its log has it all the same
        for event in batch.events:
            text = _said(event.body)
            if text is not None and self._is_new(event):
                at = datetime.fromtimestamp(event.occurred_at_ms / 1000, UTC)
                line = log_text(LogLine(at, text[0], text[1]))
                echo(f"{event.ref.workload_id} {line}")

    def _is_new(self, event: messages.Event) -> bool:
        attempt = event.ref.workload_id, event.ref.generation
        if event.sequence <= self._shown.pop(attempt, 0):
            return False
        self._shown[attempt] = event.sequence
        if len(self._shown) > _REMEMBERED:
            self._shown.popitem(last=False)
        return True


def _said(body: messages.EventBody) -> tuple[str, str] | None:
    """Level and text, where the event is something that a handler said."""
    if isinstance(body, messages.LogLine):
        return body.level, body.message
    if isinstance(body, messages.Progressed) and body.message:
        return LogLevel.INFO, body.message
    if isinstance(body, messages.Failed):
        return LogLevel.ERROR, body.message
    return None
