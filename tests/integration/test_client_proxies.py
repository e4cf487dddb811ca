"""Clients behind a proxy, with an authority of their own, and over a restart of the service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from niyanta import AsyncClient, Client
from niyanta.embedded.engine import free_port
from support.proxied import HOST, certificate, forwarding, serving

ASKING = """
import asyncio, sys
from niyanta import AsyncClient, Client

def told(workload):
    print(workload.id, workload.status)

async def ask():
    async with AsyncClient("nyt_x", sys.argv[1], max_retries=0) as client:
        told(await client.workloads.get("wl_async"))

with Client("nyt_x", sys.argv[1], max_retries=0) as client:
    told(client.workloads.get("wl_blocking"))
    told(client.workloads.get("wl_again"))
asyncio.run(ask())
"""
ANSWERS = "wl_blocking PENDING\nwl_again PENDING\nwl_async PENDING\n"


def ask(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Both clients in a process of their own, as proxies and authorities are read from its environment."""
    unwanted = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE")
    own = {name: value for name, value in os.environ.items() if name.upper() not in unwanted}
    return subprocess.run(
        [sys.executable, "-c", ASKING, url], env=own | environment, capture_output=True, text=True, timeout=60
    )


def test_https_goes_through_the_proxy_and_is_trusted_by_the_bundle_that_is_set(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    with serving(files) as port, forwarding(port) as proxy:
        through = f"http://user:pass%20word@127.0.0.1:{proxy.server_port}"
        done = ask(f"https://{HOST}", HTTPS_PROXY=through, SSL_CERT_FILE=str(files[0]))
        assert done.stdout == ANSWERS, done.stderr
        # One tunnel for each client: connections are kept.
        tunnels = [(line.rpartition(" ")[0], login) for line, login in proxy.asked]
        assert tunnels == [(f"CONNECT {HOST}:443", "Basic dXNlcjpwYXNzIHdvcmQ=")] * 2
        refused = ask(f"https://{HOST}", HTTPS_PROXY=through)
        assert refused.returncode == 1
        assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr


def test_http_goes_through_the_proxy_with_the_whole_address() -> None:
    with serving() as port, forwarding(port) as proxy:
        done = ask(f"http://{HOST}/below", HTTP_PROXY=f"127.0.0.1:{proxy.server_port}")
        assert done.stdout == ANSWERS, done.stderr
        assert proxy.asked[0] == (f"GET http://{HOST}/below/v1/workloads/wl_blocking HTTP/1.1", None)
        assert len(proxy.asked) == 3


def test_no_proxy_and_this_machine_are_reached_directly() -> None:
    with serving() as port, forwarding(port) as proxy:
        through = f"http://127.0.0.1:{proxy.server_port}"
        for host in ("127.0.0.1", "localhost"):
            assert ask(f"http://{host}:{port}", HTTP_PROXY=through, ALL_PROXY=through).stdout == ANSWERS
        assert ask(f"http://{HOST}", HTTP_PROXY=through, NO_PROXY="test").returncode == 1
        assert proxy.asked == []


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "http://", "socks5://127.0.0.1:1", "http://a:port"])
def test_a_proxy_that_cannot_be_used_is_told(proxy: str) -> None:
    done = ask(f"http://{HOST}", HTTP_PROXY=proxy)
    assert done.returncode == 1
    assert "ConfigurationError: the proxy for http" in done.stderr


async def test_a_pool_survives_a_restart_of_the_service() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Client("nyt_x", url) as blocking:
        async with AsyncClient("nyt_x", url) as client:
            for _ in range(3):
                with serving(port=port):
                    assert (await client.workloads.get("wl_1")).id == "wl_1"
                    assert blocking.workloads.get("wl_1").id == "wl_1"
