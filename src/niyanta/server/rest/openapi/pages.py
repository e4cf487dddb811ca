"""The OpenAPI document and the page that shows it, from this machine alone."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from niyanta.server.rest.frame.files import PackagedFiles
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

_FILES = {
    "init.js": "docs_page/init.js",
    "swagger-ui-bundle.js": "swagger_ui/swagger-ui-bundle.js",
    "swagger-ui.css": "swagger_ui/swagger-ui.css",
    "favicon-32x32.png": "swagger_ui/favicon-32x32.png",
}
"""What the page loads; nothing else is served."""


@dataclass(frozen=True, slots=True)
class _Document:
    """Bytes that don't change while the server runs."""

    body: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> _Document:
        return cls(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


class DocumentPages:
    """``/v1/openapi.json``, ``/v1/openapi.yaml``, ``/docs`` and the files that this page loads.

    Public and not counted against any rate. Each answer has an ETag, so that a browser asks again only whether
    something has changed.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        # Made when it is first asked for: it would be half of what a coordinator computes for its start.
        document = cache(lambda: build_document(operations))
        self._json = cache(lambda: _Document.of(to_json(document()), "application/json"))
        self._yaml = cache(lambda: _Document.of(to_yaml(document()).encode(), "application/yaml"))
        headers = {"Content-Security-Policy": _CONTENT_SECURITY_POLICY, "Referrer-Policy": "no-referrer"}
        self._files = PackagedFiles(__package__, headers)

    def routes(self) -> list[Route]:
        """What the application serves."""
        return [
            Route("/", self.lead, name="root"),
            Route("/v1/openapi.json", self.json, name="openapi.json"),
            Route("/v1/openapi.yaml", self.yaml, name="openapi.yaml"),
            Route("/docs", self.page, name="docs"),
            Route("/v1/docs", self.page, name="docs.v1"),
            Route("/docs/", self.lead, name="docs.folder"),
            Route("/docs/{file}", self.file, name="docs.file"),
        ]

    async def lead(self, request: Request) -> Response:
        """To the interactive page."""
        response = RedirectResponse("/docs")
        standard_headers(response, request_id_of(request))
        return response

    async def json(self, request: Request) -> Response:
        """The document as JSON."""
        return await _document(request, self._json)

    async def yaml(self, request: Request) -> Response:
        """The document as YAML."""
        return await _document(request, self._yaml)

    async def page(self, request: Request) -> Response:
        """The interactive page."""
        return await self._files.answer(request, "docs_page/index.html")

    async def file(self, request: Request) -> Response:
        """A file that the page loads."""
        path = _FILES.get(request.path_params["file"])
        return http_error(request, 404, "") if path is None else await self._files.answer(request, path)


async def _document(request: Request, document_of: Callable[[], _Document]) -> Response:
    # The first request makes it; off the loop, as that may take a tenth of a second.
    document = await asyncio.to_thread(document_of)
    if document.etag in request.headers.get("if-none-match", ""):
        response = Response(status_code=304)
    else:
        response = Response(document.body)
        response.headers["Content-Type"] = document.media_type
    response.headers["ETag"] = document.etag
    return _dressed(response, request)


def _dressed(response: Response, request: Request) -> Response:
    standard_headers(response, request_id_of(request))
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
