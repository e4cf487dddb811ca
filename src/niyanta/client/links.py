"""What carries requests: the seam between what a call means and how its bytes travel.

The calls are written once, as coroutines over an `HttpLink`. Over `AsyncHttpLink` they run in an event loop. Over
`BlockingHttpLink` no awaitable ever suspends, so that the client without ``await`` runs the same coroutines to their
end in the caller's own thread: no second thread, no loop, and each of its threads waits for its own answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec

from niyanta.errors import ConfigurationError

__all__ = ["Answer", "HttpLink", "StreamRefusedError", "checked_base_url", "closed_error", "cut_off"]


class Answer(msgspec.Struct, frozen=True):
    """One HTTP response, whole; headers are found by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamRefusedError(Exception):
    """What was to go on without end was answered with something else."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"answered {answer.status}")
        self.answer = answer


class HttpLink(Protocol):
    """One service, reached over a pool of connections.

    Paths begin with ``/`` and stand below the base URL, with their query, quoted already. Deadlines are moments of
    ``time.monotonic()``.
    """

    async def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> Answer:
        """One request and its answer, tried once.

        Raises:
            ConnectionFailedError: No whole answer came before the deadline.
        """

    def messages(self, path: str, headers: Mapping[str, str], deadline: float | None) -> AsyncGenerator[bytes, None]:
        """The text messages of a WebSocket, until it or the time ends.

        Raises:
            ConnectionFailedError: It could not be opened, or broke.
        """

    def chunks(self, path: str, headers: Mapping[str, str], quiet_seconds: float) -> AsyncGenerator[bytes, None]:
        """The body of an answer that goes on without end, as it comes; ends when the other side ends it.

        Raises:
            StreamRefusedError: The answer isn't a 200.
            ConnectionFailedError: It could not be had, broke, or nothing came for so many seconds.
        """

    async def sleep(self, seconds: float) -> None:
        """Wait before the next try."""

    async def close(self) -> None:
        """Close all connections. Idempotent; nothing can be sent afterwards."""


def checked_base_url(url: str) -> SplitResult:
    """A base URL that can work, without ``/v1`` at its end.

    Raises:
        ConfigurationError: It can't; says what to write.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as exc:
        raise ConfigurationError(f"the base URL {url!r} can't be read: {exc}") from exc
    if parts.scheme not in ("http", "https"):
        meant = url.strip().rpartition("://")[2].lstrip("/")
        raise ConfigurationError(f"the base URL {url!r} must begin with http:// or https://, as in http://{meant}")
    if not parts.hostname or port == 0 or any(c.isspace() or ord(c) < 32 for c in url.strip()):
        raise ConfigurationError(f"the base URL {url!r} names no host, as http://localhost:8080 does")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"the base URL {url!r} must end with its path: no ? and no #")
    if parts.username is not None:
        raise ConfigurationError("the base URL must not carry a name or password; give the key as api_key")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return SplitResult(parts.scheme, parts.netloc, path, "", "")


def closed_error() -> ConfigurationError:
    """What a call through a closed client raises."""
    return ConfigurationError("this client is closed; make another one")


def cut_off(base_url: str, cause: BaseException) -> str:
    """Why no answer came, in words."""
    if isinstance(cause, ConnectionRefusedError):
        return f"cannot reach the service at {base_url}: nothing listens there; is it running?"
    return f"cannot reach the service at {base_url}: {str(cause) or type(cause).__name__}"
