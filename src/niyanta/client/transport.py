"""HTTP with credentials, retries and errors: the one place that talks to the service."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from niyanta import errors
from niyanta.errors import ApiError, ConfigurationError, ConnectionFailedError, InternalError

__all__ = ["Credentials", "Transport", "find_credentials", "quoted", "without_none"]

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
        ConfigurationError: Nothing says where the service is or which key to use.
    """
    api_key = _without_placeholder(api_key) or _without_placeholder(os.environ.get("NIYANTA_API_KEY"))
    base_url = base_url or os.environ.get("NIYANTA_URL")
    if not api_key or not base_url:
        found = _dev_credentials()
        api_key = api_key or found.get("admin_api_key" if admin else "api_key")
        base_url = base_url or found.get("base_url")
    if not base_url:
        raise ConfigurationError(
            "no service is named: give base_url, set NIYANTA_URL, or run `niyanta dev` in this folder"
        )
    if not api_key:
        raise ConfigurationError("no API key: give api_key or set NIYANTA_API_KEY")
    return Credentials(base_url.rstrip("/").removesuffix("/v1"), api_key)


def _without_placeholder(api_key: str | None) -> str | None:
    return None if api_key is None or api_key.endswith("...") else api_key


def _dev_credentials() -> dict[str, Any]:
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / ".niyanta" / "credentials.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return {}


def quoted(identifier: str) -> str:
    """An id as a part of a path."""
    return quote(identifier, safe="")


def without_none(**values: Any) -> dict[str, Any]:
    """The values that are given."""
    return {name: value for name, value in values.items() if value is not None}


class Transport:
    """One connection pool."""

    def __init__(self, credentials: Credentials, timeout: float, max_retries: int) -> None:
        self.credentials = credentials
        self._timeout = timeout
        self._max_retries = max_retries
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credentials.api_key}"}

    async def stream(self, path: str) -> AsyncGenerator[bytes, None]:
        """The messages of a WebSocket, to its end.

        Raises:
            ConnectionFailedError: It could not be opened, whatever the reason, or broke.
        """
        try:
            async with self._opened().ws_connect(
                f"{self.credentials.base_url}/v1{path}",
                headers=self._authorization(),
                heartbeat=20,
                max_msg_size=8 << 20,
            ) as socket:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield message.data.encode()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ConnectionFailedError(f"the WebSocket could not be used: {str(exc) or type(exc).__name__}") from exc

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        safe_to_repeat: bool | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """One request, repeated where that is safe.

        429 and 503 are repeated after ``Retry-After``, a broken link only when the call may be repeated
        (``safe_to_repeat``; by default GET, PUT and DELETE).

        Raises:
            ApiError: The service's answer, as the class of its code.
            ConnectionFailedError: It could not be reached.
        """
        repeatable = method in ("GET", "PUT", "DELETE") if safe_to_repeat is None else safe_to_repeat
        attempt = 0
        while True:
            failure: ApiError | ConnectionFailedError
            try:
                return await self._once(method, path, body, params, headers, timeout or self._timeout)
            except ApiError as error:
                if not error.retryable or error.retry_after_seconds is None:
                    raise
                failure, wait = error, error.retry_after_seconds
            except ConnectionFailedError as error:
                if not repeatable:
                    raise
                failure, wait = error, 0.0
            attempt += 1
            if attempt > self._max_retries:
                raise failure
            jitter = random.random() * min(8.0, 0.1 * 2.0**attempt)  # noqa: S311 -- jitter, no secret
            await asyncio.sleep(wait + jitter)

    async def _once(
        self,
        method: str,
        path: str,
        body: Any,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        timeout: float,
    ) -> bytes:
        sent = {**self._authorization(), **(headers or {})}
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        given = {k: str(v) for k, v in (params or {}).items() if v is not None}
        try:
            async with self._opened().request(
                method,
                f"{self.credentials.base_url}/v1{path}",
                data=data,
                params=given,
                headers=sent,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                answer = await response.read()
                if response.status < 400:
                    return answer
                raise _error(response.status, answer, response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ConnectionFailedError(
                f"cannot reach the service at {self.credentials.base_url}: {str(exc) or type(exc).__name__}"
            ) from exc


def _error(status: int, answer: bytes, headers: Mapping[str, str]) -> ApiError:
    try:
        found = msgspec.json.decode(answer)["error"]
        code, message = str(found["code"]), str(found["message"])
        details, request_id = dict(found.get("details") or {}), found.get("request_id")
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        code, message, details, request_id = "", f"the service answered {status}", {}, None
        if status in (429, 503):
            code = "RATE_LIMITED" if status == 429 else "SERVICE_UNAVAILABLE"
    wait = headers.get("Retry-After", "")
    return (_ERRORS.get((status, code)) or _BY_CODE.get(code, InternalError))(
        message,
        details=details,
        retry_after_seconds=float(wait) if wait.isdigit() else None,
        request_id=request_id or headers.get("X-Request-ID"),
    )
