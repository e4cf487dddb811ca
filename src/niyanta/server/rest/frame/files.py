"""Files of the package, as browsers get them."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from niyanta.server.rest.frame.frame import request_id_of, standard_headers

__all__ = ["PackagedFiles"]

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".yaml": "application/yaml",
}


@dataclass(frozen=True, slots=True)
class _File:
    """Bytes that don't change while the server runs."""

    body: bytes
    packed: bytes
    """The same, by gzip."""
    etag: str


class PackagedFiles:
    """Serves files that lie beside a module.

    Each is read when it is first asked for, and then kept. It has an ETag, so that a browser asks again only whether
    something has changed; replicas of one release give the same.

    Args:
        package: That holds them.
        headers: Of every answer, besides those that every response carries.
    """

    def __init__(self, package: str, headers: Mapping[str, str]) -> None:
        self._package = package
        self._headers = {**headers, "Vary": "Accept-Encoding"}
        self._file = cache(self._read)

    async def answer(self, request: Request, path: str) -> Response:
        """The answer that is a file of the package, by its path there."""
        found = await asyncio.to_thread(self._file, path)
        headers = {**self._headers, "ETag": found.etag}
        if found.etag in request.headers.get("if-none-match", ""):
            response = Response(status_code=304, headers=headers)
        elif "gzip" in request.headers.get("accept-encoding", ""):
            response = Response(found.packed, headers={**headers, "Content-Encoding": "gzip"})
        else:
            response = Response(found.body, headers=headers)
        standard_headers(response, request_id_of(request))
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Content-Type"] = _MEDIA_TYPES[PurePosixPath(path).suffix]
        return response

    def _read(self, path: str) -> _File:
        body = files(self._package).joinpath(path).read_bytes()
        return _File(body, gzip.compress(body, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:32]}"')
