"""The files of the web console, which are built from ``console/`` and lie beside this module."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from niyanta.server.rest.frame.frame import http_error, request_id_of, standard_headers

__all__ = ["ConsolePages"]

_CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)

_PAGE = "index.html"
_MEDIA_TYPES = {
    _PAGE: "text/html; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "licenses.txt": "text/plain; charset=utf-8",
}
"""Every file there is; nothing else is served."""


@dataclass(frozen=True, slots=True)
class _File:
    """Bytes that don't change while the server runs."""

    body: bytes
    packed: bytes
    """The same, by gzip."""
    etag: str


@cache
def _file(name: str) -> _File:
    body = files(__package__).joinpath("files", name).read_bytes()
    return _File(body, gzip.compress(body, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:32]}"')


class ConsolePages:
    """``/console`` and what is below it.

    Public and not counted against any rate: what is shown comes from the API, with the credentials of whoever looks.
    """

    def routes(self) -> list[Route]:
        """What the application serves."""
        return [
            Route("/console/", self.lead, name="console.folder"),
            Route("/console", self.page, name="console"),
            Route("/console/{path:path}", self.below, name="console.below"),
        ]

    async def lead(self, request: Request) -> Response:
        """To the first page."""
        response = RedirectResponse("/console")
        standard_headers(response, request_id_of(request))
        return response

    async def page(self, request: Request) -> Response:
        """The one page there is; its script shows what the address says."""
        return await _served(request, _PAGE)

    async def below(self, request: Request) -> Response:
        """A file that the page loads, else the page itself."""
        path = request.path_params["path"]
        if path in _MEDIA_TYPES:
            return await _served(request, path)
        last = path.rpartition("/")[2]
        return http_error(request, 404, "") if "." in last else await _served(request, _PAGE)


async def _served(request: Request, name: str) -> Response:
    found = await asyncio.to_thread(_file, name)  # read and packed once
    headers = {
        "ETag": found.etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
    }
    if found.etag in request.headers.get("if-none-match", ""):
        response = Response(status_code=304, headers=headers)
    elif "gzip" in request.headers.get("accept-encoding", ""):
        response = Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=None)
    else:
        response = Response(found.body, headers=headers)
    standard_headers(response, request_id_of(request))
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Type"] = _MEDIA_TYPES[name]
    return response
