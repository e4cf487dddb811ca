"""The OpenAPI document and the page that shows it, from this machine alone."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from niyanta.server.rest.frame.frame import http_error, request_id_of, standard_headers
from niyanta.server.rest.frame.operation import Operation
from niyanta.server.rest.openapi.document import build_document, to_json, to_yaml

__all__ = ["DocumentPages"]

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
    ]
)

_PAGE = "niyanta.server.rest.openapi", "docs_page"
_SWAGGER = "swagger_ui", "static"
_FILES: dict[str, tuple[tuple[str, str], str]] = {
    "index.html": (_PAGE, "text/html; charset=utf-8"),
    "init.js": (_PAGE, "text/javascript; charset=utf-8"),
    "swagger-ui-bundle.js": (_SWAGGER, "text/javascript; charset=utf-8"),
    "swagger-ui.css": (_SWAGGER, "text/css; charset=utf-8"),
    "favicon-32x32.png": (_SWAGGER, "image/png"),
}
"""Every file there is to serve: nothing else of the package is."""


@dataclass(frozen=True)
class _Content:
    """Bytes that don't change while the server runs."""

    body: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        return f'W/"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.body, mtime=0)


class DocumentPages:
    """``/v1/openapi.json``, ``/v1/openapi.yaml``, ``/docs`` and the files that this page loads.

    Public and not counted against any rate. Each answer has an ETag, so that a browser asks again only whether
    something has changed.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        document = build_document(operations)
        self._json = cache(lambda: _Content(to_json(document), "application/json"))
        self._yaml = cache(lambda: _Content(to_yaml(document).encode(), "application/yaml"))
        self._file = cache(_read_file)

    def routes(self) -> list[Route]:
        """What the application serves."""
        return [
            Route("/v1/openapi.json", self.json, name="openapi.json"),
            Route("/v1/openapi.yaml", self.yaml, name="openapi.yaml"),
            Route("/docs", self.page, name="docs"),
            Route("/docs/{file}", self.file, name="docs.file"),
        ]

    async def json(self, request: Request) -> Response:
        """The document as JSON."""
        return await _answer(request, self._json)

    async def yaml(self, request: Request) -> Response:
        """The document as YAML."""
        return await _answer(request, self._yaml)

    async def page(self, request: Request) -> Response:
        """The interactive page."""
        return await _answer(request, partial(self._file, "index.html"))

    async def file(self, request: Request) -> Response:
        """A file that the page loads."""
        name = request.path_params["file"]
        return await _answer(request, partial(self._file, name)) if name in _FILES else http_error(request, 404, "")


def _read_file(name: str) -> _Content:
    (package, folder), media_type = _FILES[name]
    return _Content((files(package) / folder / name).read_bytes(), media_type)


async def _answer(request: Request, content_of: Callable[[], _Content]) -> Response:
    # The first request of each makes its content; off the loop, as that may take a tenth of a second.
    def make() -> tuple[_Content, bytes, str]:
        content = content_of()
        if "gzip" in request.headers.get("accept-encoding", ""):
            return content, content.compressed, "gzip"
        return content, content.body, ""

    content, body, encoding = await asyncio.to_thread(make)
    etag = content.etag
    if etag in request.headers.get("if-none-match", ""):
        response = Response(status_code=304)
    else:
        response = Response(body, media_type=None)
        response.headers["Content-Type"] = content.media_type
        if encoding:
            response.headers["Content-Encoding"] = encoding
    standard_headers(response, request_id_of(request))
    response.headers["Cache-Control"] = "no-cache"
    response.headers["ETag"] = etag
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
