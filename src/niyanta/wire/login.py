"""How a program shows the broker who it is."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from niyanta.domain.join_tokens import credential_of, id_of
from niyanta.errors import ConfigurationError

__all__ = ["SECRET_SEPARATOR", "Login", "WorkerPass"]

SECRET_SEPARATOR = "."  # noqa: S105 -- a sign
"""Between a join token and its worker's own secret, in the password that both are."""
_SECRET_BYTES = 24


@dataclass(frozen=True)
class Login:
    """Shown instead of what stands in the broker's address; a broker that asks for nothing isn't trusted.

    Attributes:
        user: Of a worker: its id.
        password: Of a worker: its join token and a secret of its own.
        public_key: Of a coordinator, instead of the two: the nkey that the broker's configuration names.
        sign: Signs the broker's nonce by that key.
        inbox: In front of the subjects on which replies are heard; made at random when empty.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    public_key: str = ""
    sign: Callable[[str], bytes] | None = field(default=None, repr=False)
    inbox: str = ""


@dataclass(frozen=True)
class WorkerPass:
    """One start of one worker, on a closed broker.

    Attributes:
        worker_id: Its id.
        credential: What it is called there; no secret.
    """

    worker_id: str
    credential: str
    _password: str = field(repr=False)

    @classmethod
    def make(cls, join_token: str, worker_id: str) -> WorkerPass:
        """With a new secret.

        Raises:
            ConfigurationError: It is no join token.
        """
        token_id = id_of(join_token)
        if token_id is None:
            raise ConfigurationError(
                "the join token is incomplete or misspelled: it looks like nyj_…, "
                "as niyanta admin create-join-token prints it"
            )
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        return cls(worker_id, credential_of(token_id, secret), f"{join_token}{SECRET_SEPARATOR}{secret}")

    @property
    def sender(self) -> str:
        """As `Subjects` has it."""
        return f"{self.worker_id}.{self.credential}"

    @property
    def login(self) -> Login:
        """What is shown to the broker."""
        return Login(self.worker_id, self._password, inbox=f"_INBOX.{self.credential}")
