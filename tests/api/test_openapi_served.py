"""The document and its page as the server serves them."""

from __future__ import annotations

import re

import yaml
from starlette.routing import Route

from niyanta.server.rest.openapi.pages import DocumentPages
from support.cases import cases
from support.openapi_document import DOCUMENT
from support.system import System

ADDRESS = re.compile(r"(?:https?:)?//[A-Za-z0-9.-]+")


async def test_served_document_is_the_committed_one(system: System) -> None:
    async with system.http.get(system.url("/v1/openapi.json")) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert await response.json() == DOCUMENT
    async with system.http.get(system.url("/v1/openapi.yaml")) as response:
        assert response.content_type == "application/yaml"
        assert yaml.safe_load(await response.text()) == DOCUMENT


@cases("path", ["/v1/openapi.json", "/v1/openapi.yaml", "/docs", "/docs/swagger-ui-bundle.js"])
async def test_an_unchanged_document_is_not_sent_twice(system: System, path: str) -> None:
    async with system.http.get(system.url(path)) as response:
        assert response.status == 200
        etag = response.headers["ETag"]
        assert await response.read()
    async with system.http.get(system.url(path), headers={"If-None-Match": etag}) as response:
        assert response.status == 304
        assert await response.read() == b""
        assert response.headers["ETag"] == etag
    async with system.http.get(system.url(path), headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_documents_need_no_credentials_and_cost_nothing(system: System) -> None:
    await system.customers.create_customer("slow", "cust_slow", "free")
    key = (await system.customers.create_key("cust_slow", "test"))[1]
    for _ in range(20):
        async with system.http.get(system.url("/v1/openapi.json"), headers={"Authorization": f"Bearer {key}"}) as got:
            assert got.status == 200
            assert "X-RateLimit-Limit" not in got.headers
    status, _, headers = await system.call("GET", "/workloads", key=key)
    assert status == 200
    assert headers["X-RateLimit-Remaining"] == "4"


async def test_page_loads_everything_from_here_and_runs_nothing_inline(system: System) -> None:
    async with system.http.get(system.url("/docs")) as response:
        assert response.content_type == "text/html"
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]
    assert "'unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert ADDRESS.findall(page) == []
    assert "<title>Niyanta API</title>" in page
    assert re.search(r"<script(?![^>]*\bsrc=)", page) is None
    assert re.search(r"\son\w+=", page) is None
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "/docs/init.js" in loaded
    kinds = {"js": "text/javascript", "css": "text/css", "png": "image/png", "yaml": "application/yaml"}
    for path in loaded:
        async with system.http.get(system.url(path)) as response:
            assert response.status == 200, path
            assert response.content_type == kinds[path.rpartition(".")[2]]
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_page_shows_our_document_and_asks_no_validator(system: System) -> None:
    async with system.http.get(system.url("/docs/init.js")) as response:
        script = await response.text()
    assert ADDRESS.findall(re.sub(r"^//.*$", "", script, flags=re.MULTILINE)) == []
    assert re.search(r"\burl: \"/v1/openapi.json\"", script)
    assert "persistAuthorization: true" in script
    assert "validatorUrl: null" in script


@cases(
    "name",
    ["swagger-editor.js", "nothing.js", "..%2Fdocs.py", "%2e%2e%2f%2e%2e%2fwiring.py", "index.html%00", "index.html"],
)
async def test_other_files_are_not_served(system: System, name: str) -> None:
    async with system.http.get(system.url(f"/docs/{name}"), allow_redirects=False) as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "NOT_FOUND"


@cases("path", ["/", "/docs/"])
async def test_the_root_leads_to_the_page(system: System, path: str) -> None:
    async with system.http.get(system.url(path), allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "/docs")
        assert response.headers["X-Request-ID"]
    async with system.http.get(system.url(path)) as response:
        assert (response.status, response.url.path) == (200, "/docs")
        assert "<title>Niyanta API</title>" in await response.text()


async def test_the_page_answers_under_v1_too(system: System) -> None:
    pages = []
    for path in ("/docs", "/v1/docs"):
        async with system.http.get(system.url(path)) as response:
            assert (response.status, response.content_type) == (200, "text/html")
            pages.append(await response.text())
    assert pages[0] == pages[1]


async def test_documents_take_get_only(system: System) -> None:
    async with system.http.post(system.url("/docs")) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_every_route_of_the_pages_is_public_and_no_operation() -> None:
    pages = {route.path for route in DocumentPages().routes() if isinstance(route, Route)}
    assert pages == {
        "/",
        "/v1/openapi.json",
        "/v1/openapi.yaml",
        "/docs",
        "/docs/",
        "/v1/docs",
        "/docs/{file}",
    }
    assert not pages & set(DOCUMENT["paths"])
