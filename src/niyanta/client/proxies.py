"""The proxy that stands between a client and its service, as ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` say."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from niyanta.errors import ConfigurationError

__all__ = ["Proxy", "proxy_for"]


class Proxy(NamedTuple):
    """Where to connect instead."""

    host: str
    port: int
    authorization: str
    """Of the header ``Proxy-Authorization``; empty without a login."""

    @property
    def url(self) -> str:
        """Without the login."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy is told besides."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


def proxy_for(base: SplitResult) -> Proxy | None:
    """The one for a service, as the environment says now; None for this machine's own, and where none is set.

    Raises:
        ConfigurationError: What the environment says can't be used.
    """
    host = base.hostname or ""
    if _is_local(host) or proxy_bypass(base.netloc):
        return None
    found = getproxies_environment()
    url = found.get(base.scheme) or found.get("all") or ""
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or 80
    except ValueError as exc:
        raise ConfigurationError(f"the proxy for {base.scheme} can't be read: {exc}") from exc
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigurationError(f"the proxy for {base.scheme} must be named as in http://proxy.example.com:3128")
    authorization = ""
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(login.encode()).decode()}"
    return Proxy(parts.hostname, port, authorization)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
