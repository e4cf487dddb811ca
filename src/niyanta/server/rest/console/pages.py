"""The files of the web console, which are built from ``console/`` and lie beside this module."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from niyanta.server.rest.frame.files import PackagedFiles
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
_FILES = frozenset({_PAGE, "console.js", "console.css", "icon.svg", "licenses.txt"})
"""Every file there is; nothing else is served."""


class ConsolePages:
    """``/console`` and what is below it.

    Public and not counted against any rate: what is shown comes from the API, with the credentials of whoever looks.
    """

    def __init__(self) -> None:
        headers = {
            "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
        }
        self._files = PackagedFiles(__package__, headers)

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
        return await self._file(request, _PAGE)

    async def below(self, request: Request) -> Response:
        """A file that the page loads, else the page itself."""
        path = request.path_params["path"]
        if path in _FILES:
            return await self._file(request, path)
        last = path.rpartition("/")[2]
        return http_error(request, 404, "") if "." in last else await self._file(request, _PAGE)

    async def _file(self, request: Request, name: str) -> Response:
        return await self._files.answer(request, f"files/{name}")
