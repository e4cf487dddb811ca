"""The OpenAPI document and the page that shows it, from this machine alone."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from niyanta.server.rest.frame.files import PackagedFiles
from niyanta.server.rest.frame.frame import http_error, request_id_of, standard_headers

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


class DocumentPages:
    """``/v1/openapi.json``, ``/v1/openapi.yaml``, ``/docs`` and the files that this page loads.

    Public and not counted against any rate. The document is made by ``make generate``, Swagger UI comes along by
    ``make console``.
    """

    def __init__(self) -> None:
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
        return await self._files.answer(request, "niyanta-v1.json")

    async def yaml(self, request: Request) -> Response:
        """The document as YAML."""
        return await self._files.answer(request, "niyanta-v1.yaml")

    async def page(self, request: Request) -> Response:
        """The interactive page."""
        return await self._files.answer(request, "docs_page/index.html")

    async def file(self, request: Request) -> Response:
        """A file that the page loads."""
        path = _FILES.get(request.path_params["file"])
        return http_error(request, 404, "") if path is None else await self._files.answer(request, path)
