"""Credentials, retries and errors: what each call has in common, whatever carries it."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from niyanta import errors
from niyanta.client.links import Answer, HttpLink, StreamRefusedError, checked_base_url
from niyanta.domain.limits import FEED_HEARTBEAT_SECONDS
from niyanta.errors import ApiError, ConfigurationError, ConnectionFailedError, InternalError
from niyanta.telemetry.ambient import context_here
from niyanta.wire.nearby import dev_credentials

__all__ = ["Credentials", "Transport", "find_credentials", "quoted", "without_none"]

# What a proxy or a service that is just being replaced answers; it says nothing about the request.
_PASSING = frozenset({429, 502, 503, 504})
_LONGEST_WAIT_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 8.0
_QUIET_SECONDS = 3 * FEED_HEARTBEAT_SECONDS
_NO_HEADER = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

_ERRORS: dict[tuple[int, str], type[ApiError]] = {
    (kind.http_status, kind.code): kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ApiError) and kind is not ApiError
}
_BY_CODE: dict[str, type[ApiError]] = {
    kind.code: kind for kind in reversed(_ERRORS.values()) if ApiError in kind.__bases__
}


class Credentials(msgspec.Struct, frozen=True):
    """Where the service is, and who asks."""

    base_url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Credentials(base_url={self.base_url!r}, api_key=…)"


def find_credentials(api_key: str | None, base_url: str | None, *, admin: bool = False) -> Credentials:
    """Explicit values, else the environment, else the nearest ``.niyanta/credentials.json`` above here.

    A key that ends in ``...`` is a placeholder, as the documentation prints it, and counts as not given.

    Raises:
        ConfigurationError: Nothing says where the service is or which key to use, or the address can't work.
    """
    api_key = _without_placeholder(api_key) or _without_placeholder(os.environ.get("NIYANTA_API_KEY"))
    base_url = base_url or os.environ.get("NIYANTA_URL")
    if not api_key or not base_url:
        found = dev_credentials()
        api_key = api_key or found.get("admin_api_key" if admin else "api_key")
        base_url = base_url or found.get("base_url")
    if not base_url:
        raise ConfigurationError(
            "no service is named: give base_url, set NIYANTA_URL, or run `niyanta dev` in this folder (and "
            "wait until it says that it is ready)"
        )
    if not api_key:
        raise ConfigurationError("no API key: give api_key or set NIYANTA_API_KEY")
    if _NO_HEADER.search(api_key) or api_key != api_key.strip():
        raise ConfigurationError("the API key holds a space, a line break or another sign that no key has")
    return Credentials(checked_base_url(base_url).geturl(), api_key)


def _without_placeholder(api_key: str | None) -> str | None:
    return None if api_key is None or api_key.endswith("...") else api_key


def quoted(identifier: str) -> str:
    """An id as a part of a path."""
    return quote(identifier, safe="")


def without_none(**values: object) -> dict[str, Any]:
    """The values that are given."""
    return {name: value for name, value in values.items() if value is not None}


class Transport:
    """What makes a call of a request: who asks, what is tried again, which error an answer means.

    Args:
        credentials: Who asks.
        timeout: Seconds for one try.
        max_retries: How often a request is repeated, where that is safe.
        link: What carries the bytes.
    """

    def __init__(self, credentials: Credentials, timeout: float, max_retries: int, link: HttpLink) -> None:
        self._authorization = {"Authorization": f"Bearer {credentials.api_key}"}
        self._timeout = timeout
        self._max_retries = max_retries
        self._link = link

    def __repr__(self) -> str:
        return f"Transport(timeout={self._timeout!r}, max_retries={self._max_retries!r})"

    def stream(self, path: str, deadline: float | None = None) -> AsyncGenerator[bytes, None]:
        """The messages of a WebSocket, until it ends or the deadline, a moment of ``time.monotonic()``, is there.

        Raises:
            ConnectionFailedError: It could not be opened, whatever the reason, or broke.
        """
        return self._link.messages(f"/v1{path}", self._authorization, deadline)

    async def events(self, path: str, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
        """What server-sent events are received in, until the service ends them.

        Raises:
            ApiError: The service refuses.
            ConnectionFailedError: It could not be reached, or the connection broke.
        """
        sent = self._authorization
        if last_event_id is not None:
            sent = {**sent, "Last-Event-ID": last_event_id}
        try:
            async with aclosing(self._link.chunks(f"/v1{path}", sent, _QUIET_SECONDS)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except StreamRefusedError as refused:
            raise _error(refused.answer) from None

    async def content(self, path: str) -> AsyncGenerator[bytes, None]:
        """The body of an answer of any size, as it comes; what fails before it comes is tried again as in `call`.

        Raises:
            ApiError: The service refuses.
            ConnectionFailedError: It could not be reached, nothing came for the seconds that one try has, or the
                connection broke on the way.
        """
        failures, begun = 0, False
        while True:
            failure: ApiError | ConnectionFailedError
            try:
                async with aclosing(self._link.chunks(f"/v1{path}", self._authorization, self._timeout)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except StreamRefusedError as refused:
                failure = _error(refused.answer)
            except ConnectionFailedError as error:
                failure = error
            if begun:
                raise failure
            failures += 1
            await self.pause_after(failure, failures)

    async def rest(self, begun: float) -> None:
        """Wait as long again as it has been since a moment of ``time.monotonic()``.

        A search that goes on while it finds nothing so takes half of the service's time at the most.
        """
        await self._link.sleep(time.monotonic() - begun)

    async def pause_after(self, failure: ApiError | ConnectionFailedError, failures: int) -> None:
        """Wait before what has failed so often in a row is tried again.

        Raises:
            ApiError, ConnectionFailedError: The failure, when it isn't to be tried again.
        """
        if failures > self._max_retries or (isinstance(failure, ApiError) and not failure.retryable):
            raise failure
        wait = getattr(failure, "retry_after_seconds", None) or 0.0
        await self._link.sleep(wait + _pause_seconds(failures))

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        safe_to_repeat: bool | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> bytes:
        """One request, repeated where that is safe.

        What the service itself puts off (429 and 503 with ``Retry-After``) is repeated after that time. A broken
        link, and 502, 503 and 504 without a time, are repeated after a growing pause if the call may be repeated
        (``safe_to_repeat``; by default GET, PUT and DELETE).

        Args:
            method: ``GET`` and so on.
            path: Below ``/v1``, quoted.
            body: What to send as JSON.
            params: The query; those that are None are left out, and of a list each item is given.
            headers: More than the authorization.
            safe_to_repeat: Whether it does no harm when the service does it twice.
            timeout: Seconds for one try, where the client's own don't fit.
            deadline: Moment of ``time.monotonic()`` after which nothing is tried or waited for.

        Raises:
            ApiError: The service's answer, as the class of its code.
            ConnectionFailedError: It could not be reached.
        """
        repeatable = method in ("GET", "PUT", "DELETE") if safe_to_repeat is None else safe_to_repeat
        target, sent, data = self._prepared(path, body, params, headers)
        attempt = 0
        while True:
            until = time.monotonic() + (timeout or self._timeout)
            failure: ApiError | ConnectionFailedError
            try:
                answer = await self._link.exchange(method, target, sent, data, min(until, deadline or until))
                if 200 <= answer.status < 300:
                    return answer.body
                failure = _error(answer)
                wait = failure.retry_after_seconds or 0.0
                if not _may_repeat(answer.status, failure, repeatable):
                    raise failure
            except ConnectionFailedError as error:
                if not repeatable:
                    raise
                failure, wait = error, 0.0
            attempt += 1
            wait += _pause_seconds(attempt)
            if attempt > self._max_retries or (deadline is not None and time.monotonic() + wait >= deadline):
                raise failure
            await self._link.sleep(wait)

    def _prepared(
        self, path: str, body: object, params: Mapping[str, Any] | None, headers: Mapping[str, str] | None
    ) -> tuple[str, dict[str, str], bytes | None]:
        """What is the same at each try: the path with its query, the headers, the body's bytes."""
        sent = self._authorization
        if (span := context_here()) is not None:
            sent = {**sent, "traceparent": span.traceparent}
        if headers:
            for name, value in headers.items():
                if _NO_HEADER.search(value):
                    raise ConfigurationError(f"{name} can't hold line breaks or letters outside Latin-1")
            sent = {**sent, **headers}
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            sent = {**sent, "Content-Type": "application/json"}
        given = {name: value for name, value in (params or {}).items() if value not in (None, [])}
        query = f"?{urlencode(given, doseq=True, quote_via=quote)}" if given else ""
        return f"/v1{path}{query}", sent, data


def _pause_seconds(failures: int) -> float:
    return random.random() * min(_LONGEST_PAUSE_SECONDS, 0.2 * 2.0**failures)  # noqa: S311 -- no secret


def _may_repeat(status: int, error: ApiError, repeatable: bool) -> bool:
    if status not in _PASSING:
        return False
    if error.retry_after_seconds is None:
        return repeatable
    return (error.retryable or repeatable) and error.retry_after_seconds <= _LONGEST_WAIT_SECONDS


def _error(answer: Answer) -> ApiError:
    """The answer as the class of its code; of a proxy's, which has none, as what comes nearest."""
    status = answer.status
    try:
        found = msgspec.json.decode(answer.body)["error"]
        code, message = str(found["code"]), str(found["message"])
        details, request_id = dict(found.get("details") or {}), found.get("request_id")
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        code, message, details, request_id = "", f"the service answered {status}", {}, None
        if status in _PASSING:
            code = "RATE_LIMITED" if status == 429 else "SERVICE_UNAVAILABLE"
        elif 300 <= status < 400:
            message += f" and points to {answer.headers.get('location', 'nowhere')}; give that as the base URL"
        else:
            message += ", not as Niyanta does; is the base URL right?"
    return (_ERRORS.get((status, code)) or _BY_CODE.get(code, InternalError))(
        message,
        details=details,
        retry_after_seconds=_wait_seconds(answer.headers.get("retry-after", "")),
        request_id=request_id or answer.headers.get("x-request-id"),
    )


def _wait_seconds(retry_after: str) -> float | None:
    """``Retry-After`` (RFC 9110), which is a number of seconds or a date; None where it says neither."""
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
