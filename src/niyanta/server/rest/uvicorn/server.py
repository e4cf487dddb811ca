"""Uvicorn as a part of a coordinator: the program decides when to stop, and how connections are accepted."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp

from niyanta.server.access.certificates import Certificates
from niyanta.server.access.proxies import Proxies
from niyanta.server.rest.uvicorn.heads import HeadLimits, bounded_http
from niyanta.server.rest.uvicorn.sockets import websocket_among
from niyanta.server.rest.uvicorn.strangers import Strangers
from niyanta.server.rest.uvicorn.tls import TlsListener
from niyanta.server.settings import CoordinatorSettings

__all__ = ["HttpServer"]


class HttpServer(uvicorn.Server):
    """Serves REST and WebSockets on one socket.

    Args:
        application: What answers.
        settings: Bounds on those that ask.
        certificates: What is shown; None to speak plain.
        proxies: Connections of these are of many clients.
    """

    def __init__(
        self,
        application: ASGIApp,
        settings: CoordinatorSettings,
        certificates: Certificates | None,
        proxies: Proxies,
    ) -> None:
        self._strangers = Strangers(
            settings.max_strangers, settings.max_strangers_per_source, is_shared=proxies.__contains__
        )
        self._certificates = certificates
        self._handshake_seconds = settings.request_seconds
        super().__init__(
            uvicorn.Config(
                application,
                loop="none",
                http=bounded_http(HeadLimits(seconds=settings.request_seconds), self._strangers),
                ws=websocket_among(self._strangers),
                ws_max_size=64 * 1024,
                ws_ping_interval=30,
                ws_ping_timeout=20,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                # At the level below, a WebSocket's address is logged with the token in it.
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
                timeout_keep_alive=75,
            )
        )

    def install_signal_handlers(self) -> None:
        return None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._certificates is None or not sockets:
            await super().startup(sockets)
            return
        self.servers = [
            TlsListener(accepting, self._protocol, self._certificates, self._strangers, self._handshake_seconds)  # type: ignore[misc]  # has all that uvicorn uses of a server
            for accepting in sockets
        ]
        self.started = True

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn makes it
            config=self.config, server_state=self.server_state, app_state={}, _loop=None
        )
        return protocol
