"""Names of the broker's subjects.

No customer's text ever becomes part of a subject; worker ids are checked against `WORKER_ID_PATTERN`.

Where the broker is closed, the subjects of workers hold who speaks: the worker's id, and the credential that the
broker has let it in with (`niyanta.domain.join_tokens`). The broker lets nobody else publish there, so a coordinator
knows its sender by the subject. An open broker (``NIYANTA_BROKER_AUTH=none``) has subjects without a sender.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from niyanta.domain.join_tokens import CREDENTIAL_PATTERN, holder_of

__all__ = ["ANY_SENDER", "WORKER_ID_PATTERN", "Subjects", "inbox_of"]

WORKER_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
"""A worker id, to be used with ``fullmatch``: ASCII letters, digits, ``_`` and ``-``, at most 63."""
ANY_SENDER = "*.*"
"""As a sender: whichever the broker has let in. For those who listen."""
_NOBODY = "nobody"


@dataclass(frozen=True)
class Subjects:
    """All subjects under one prefix, so that several systems (or tests) can share a broker.

    Attributes:
        prefix: In front of all.
        queue_group: Of those who answer workers.
        sender: ``<worker id>.<credential>`` at a worker, `ANY_SENDER` at a coordinator; empty on an open broker.
    """

    prefix: str = "niyanta.v1"
    queue_group: str = "coordinators"
    sender: str = ""

    @property
    def credential(self) -> str:
        """The worker's own; empty on an open broker."""
        return self.sender.partition(".")[2]

    @property
    def register(self) -> str:
        """Request: `Register` -> `RegisterReply`."""
        return self._spoken("register")

    @property
    def heartbeat(self) -> str:
        """Request: `Heartbeat` -> `HeartbeatReply`."""
        return self._spoken("heartbeat")

    @property
    def events(self) -> str:
        """Request: `EventBatch` -> `BatchReply`."""
        return self._spoken("events")

    @property
    def checkpoint(self) -> str:
        """Request: `CheckpointRequest` -> `CheckpointReply`."""
        return self._spoken("checkpoint")

    def _spoken(self, kind: str) -> str:
        return ".".join(filter(None, (self.prefix, "w", self.sender, kind)))

    def worker(self, worker_id: str, incarnation: str = "") -> str:
        """Publish: any `Command`, to one incarnation of one worker; on an open broker to whoever has the id."""
        if not WORKER_ID_PATTERN.fullmatch(worker_id):
            raise ValueError(f"not a worker id: {worker_id!r}")
        if not self.sender:
            return f"{self.prefix}.worker.{worker_id}"
        holder = holder_of(incarnation)  # of one that registered while the broker was open there is none
        return f"{self.prefix}.worker.{worker_id}.{holder if CREDENTIAL_PATTERN.fullmatch(holder) else _NOBODY}"

    def commands(self, worker_id: str) -> str:
        """Where a worker hears its commands."""
        return f"{self.prefix}.worker.{self.sender}" if self.sender else self.worker(worker_id)

    def sender_of(self, subject: str) -> tuple[str, str]:
        """Worker id and credential of whoever published on a subject that a coordinator hears by `ANY_SENDER`."""
        worker_id, _, rest = subject[len(self.prefix) + len(".w.") :].partition(".")
        return worker_id, rest.partition(".")[0]

    def allowed(self, worker_id: str, credential: str) -> tuple[list[str], list[str]]:
        """What a worker may publish on, and subscribe to. Besides, it may answer whom it has heard."""
        return (
            [f"{self.prefix}.w.{worker_id}.{credential}.>"],
            [f"{self.prefix}.worker.{worker_id}.{credential}", f"{inbox_of(credential)}.>"],
        )

    @property
    def changed(self) -> str:
        """Publish: `Changed`, from coordinators to coordinators."""
        return f"{self.prefix}.changed"


def inbox_of(credential: str) -> str:
    """Where a worker hears replies."""
    return f"_INBOX.{credential}"
