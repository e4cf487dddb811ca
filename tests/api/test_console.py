"""The console's files, and how a browser signs in."""

from __future__ import annotations

import gzip
from http.cookies import SimpleCookie
from typing import Any

import aiohttp

from niyanta.domain.limits import MAX_CONSOLE_TOKEN_LENGTH, MAX_TOKEN_LENGTH
from niyanta.server.rest.frame.credentials import CONSOLE_HEADER, SESSION_COOKIE
from support.system import System

OURS = {CONSOLE_HEADER: "1"}


async def ask(system: System, method: str, path: str, **options: Any) -> tuple[int, bytes, Any]:
    """One request by itself: nothing is kept from those before."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as http,
        http.request(method, system.url(path), allow_redirects=False, **options) as response,
    ):
        return response.status, await response.read(), response.headers


async def signed_in(system: System, key: str = "cust_a", **headers: str) -> SimpleCookie:
    credential = system.keys.get(key, key)
    status, body, answered = await ask(
        system, "POST", "/console/session", json={"credential": credential}, headers={**OURS, **headers}
    )
    assert status == 200, body
    return SimpleCookie(answered["Set-Cookie"])


def with_cookie(cookie: SimpleCookie) -> dict[str, str]:
    return {"Cookie": f"{SESSION_COOKIE}={cookie[SESSION_COOKIE].value}"}


async def test_each_address_is_the_page_and_it_runs_nothing_inline(system: System) -> None:
    for path in ("/console", "/console/workloads", "/console/workloads/wl_1", "/console/index.html"):
        status, body, headers = await ask(system, "GET", path, headers={"Accept-Encoding": "identity"})
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b'<script src="/console/console.js" defer></script>' in body
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert b"<style" not in body
        assert b"style=" not in body
        assert body.count(b"<script") == body.count(b'<script src="/console/')


async def test_files_come_packed_and_are_asked_for_again_by_their_tag(system: System) -> None:
    for name, media_type in {
        "console.js": "text/javascript; charset=utf-8",
        "console.css": "text/css; charset=utf-8",
        "icon.svg": "image/svg+xml",
        "licenses.txt": "text/plain; charset=utf-8",
    }.items():
        path = f"/console/{name}"
        status, plain, headers = await ask(system, "GET", path, headers={"Accept-Encoding": "identity"})
        assert (status, headers["Content-Type"]) == (200, media_type)
        assert plain
        status, packed, again = await ask(system, "GET", path, headers={"Accept-Encoding": "gzip"})
        assert again["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed) == plain
        assert len(packed) < 300 * 1024
        status, body, _ = await ask(system, "GET", path, headers={"If-None-Match": headers["ETag"]})
        assert (status, body) == (304, b"")


async def test_other_files_are_not_served(system: System) -> None:
    for path in ("nothing.js", "..%2Fpages.py", "%2e%2e%2fpages.py", "__init__.py", "a/b.css"):
        status, body, _ = await ask(system, "GET", "/console/" + path)
        assert status in (200, 404)
        assert b"niyanta.server" not in body


async def test_a_key_is_exchanged_for_a_token_that_no_script_can_read(system: System) -> None:
    cookie = (await signed_in(system))[SESSION_COOKIE]
    assert cookie.value
    assert cookie.value != system.keys["cust_a"]
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/"
    assert 3600 <= int(cookie["max-age"]) <= 86_400


async def test_the_cookie_is_for_https_where_the_page_came_by_it(system: System) -> None:
    assert not (await signed_in(system))[SESSION_COOKIE]["secure"]
    assert (await signed_in(system, Origin="https://niyanta.example"))[SESSION_COOKIE]["secure"]


async def test_the_cookie_counts_beside_the_consoles_header_only(system: System) -> None:
    cookie = with_cookie(await signed_in(system))
    status, _, _ = await ask(system, "GET", "/v1/customer", headers={**cookie, **OURS})
    assert status == 200
    status, _, _ = await ask(system, "GET", "/v1/customer", headers=cookie)
    assert status == 401
    # As a form on another site's page would send it.
    status, _, _ = await ask(
        system, "POST", "/v1/workloads", headers={**cookie, "Content-Type": "application/json"}, data=b"{}"
    )
    assert status == 401


async def test_live_feeds_take_the_cookie(system: System) -> None:
    cookie = with_cookie(await signed_in(system))
    async with system.http.get(system.url("/v1/workloads/events"), headers={**cookie, **OURS}) as response:
        assert response.status == 200
        assert await response.content.readuntil(b"event: ready")


async def test_another_sites_page_may_not_send_the_header(system: System) -> None:
    wanted = {"Origin": "https://evil.example", "Access-Control-Request-Headers": CONSOLE_HEADER}
    _, _, headers = await ask(system, "OPTIONS", "/v1/workloads", headers=wanted)
    assert not [name for name in headers if name.lower().startswith("access-control-")]


async def test_a_header_wins_over_the_cookie(system: System) -> None:
    cookie = with_cookie(await signed_in(system))
    sent = {**cookie, **OURS, "Authorization": f"Bearer {system.keys['cust_b']}"}
    _, body, _ = await ask(system, "GET", "/v1/customer", headers=sent)
    assert b'"customer_id":"cust_b"' in body


async def test_the_session_says_who_is_signed_in(system: System) -> None:
    for key, role in (("cust_a", b"customer"), ("admin", b"admin")):
        cookie = with_cookie(await signed_in(system, key))
        status, body, _ = await ask(system, "GET", "/console/session", headers={**cookie, **OURS})
        assert status == 200
        assert b'"role":"%s"' % role in body


async def test_nobody_is_signed_in_without_a_cookie_or_with_a_bad_one(system: System) -> None:
    assert (await ask(system, "GET", "/console/session", headers=OURS))[0] == 204
    bad = {"Cookie": f"{SESSION_COOKIE}=nothing", **OURS}
    assert (await ask(system, "GET", "/console/session", headers=bad))[0] == 401


async def test_signing_out_ends_the_token(system: System) -> None:
    cookie = with_cookie(await signed_in(system))
    status, _, headers = await ask(system, "DELETE", "/console/session", headers={**cookie, **OURS})
    assert status == 204
    assert SimpleCookie(headers["Set-Cookie"])[SESSION_COOKIE]["max-age"] == "0"
    assert (await ask(system, "GET", "/v1/customer", headers={**cookie, **OURS}))[0] == 401
    assert (await ask(system, "DELETE", "/console/session", headers={**cookie, **OURS}))[0] == 204


async def test_a_token_signs_in_as_itself(system: System) -> None:
    status, made, _ = await system.call("POST", "/tokens", {"scopes": ["workloads:read"]})
    assert status == 201
    cookie = (await signed_in(system, made["token"]))[SESSION_COOKIE]
    assert cookie.value == made["token"]
    assert not cookie["max-age"]


async def test_what_is_no_credential_is_refused(system: System) -> None:
    for body, status in (
        (b'{"credential": "nothing"}', 401),
        (b'{"credential": ""}', 400),
        (b"{}", 400),
        (b"nonsense", 400),
        (b'{"credential": "' + b"x" * (MAX_TOKEN_LENGTH + 2000) + b'"}', 413),
    ):
        found, answer, headers = await ask(system, "POST", "/console/session", data=body, headers=OURS)
        assert found == status, answer
        assert b'"request_id"' in answer
        assert "Set-Cookie" not in headers


async def test_other_pages_can_not_sign_a_browser_in_or_out(system: System) -> None:
    credential = {"credential": system.keys["cust_b"]}
    assert (await ask(system, "POST", "/console/session", json=credential))[0] == 403
    assert (await ask(system, "DELETE", "/console/session"))[0] == 403


def test_a_token_that_fits_fits_into_a_cookie() -> None:
    attributes = "; HttpOnly; Max-Age=43200; Path=/; SameSite=strict; Secure"
    assert len(SESSION_COOKIE) + 1 + MAX_CONSOLE_TOKEN_LENGTH + len(attributes) <= 4096
