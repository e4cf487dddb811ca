"""What `niyanta.server.rest.uvicorn` relies on in uvicorn's protocols, which promise nothing to those who subclass.

When this fails after an upgrade, look at what uvicorn does now before you raise the bound in ``pyproject.toml``.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets import websockets_sansio_impl
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from niyanta.server.rest.uvicorn import ending, heads, server, sockets, tls

OVERRIDDEN: dict[type, dict[str, list[str]]] = {
    HttpToolsProtocol: {
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "data_received": ["self", "data"],
        "handle_websocket_upgrade": ["self"],
        "on_message_begin": ["self"],
        "on_url": ["self", "url"],
        "on_header": ["self", "name", "value"],
        "on_headers_complete": ["self"],
        "send_400_response": ["self", "msg"],
    },
    WebSocketsSansIOProtocol: {
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "handle_connect": ["self", "event"],
        "handle_ping": ["self"],
        "keepalive_timeout": ["self"],
        "send": ["self", "message"],
        "send_receive_event_to_app": ["self"],
        "stop_keepalive": ["self"],
    },
    uvicorn.Server: {"startup": ["self", "sockets"]},
}


def attributes_used(module: Any, holder: str) -> set[str]:
    """The ``x`` of each ``self.holder.x`` in a module."""
    return {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == holder
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id == "self"
    }


def assigned(kind: type) -> set[str]:
    """The attributes that a class gives its instances anywhere."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


@pytest.mark.parametrize("kind", OVERRIDDEN, ids=lambda kind: kind.__name__)
def test_what_is_overridden_is_there_with_these_parameters(kind: type) -> None:
    found = {name: list(inspect.signature(getattr(kind, name)).parameters) for name in OVERRIDDEN[kind]}
    assert found == OVERRIDDEN[kind]


def test_nothing_else_is_overridden() -> None:
    """Else this test would not know what is relied on."""
    for kind, derived in (
        (HttpToolsProtocol, heads.BoundedHttp),
        (WebSocketsSansIOProtocol, sockets.SocketProtocol),
        (uvicorn.Server, server.HttpServer),
    ):
        common = set(vars(derived)) & set(vars(kind)) - set(vars(object)) - {"__init__", "__module__"}
        assert {name for name in common if not name.startswith("__")} <= set(OVERRIDDEN[kind])


def test_the_attributes_that_are_used_are_there() -> None:
    assert {
        "client",
        "config",
        "cycle",
        "flow",
        "headers",
        "loop",
        "parser",
        "pipeline",
        "scope",
        "timeout_keep_alive",
        "transport",
        "url",
    } <= assigned(HttpToolsProtocol)
    assert {"disconnected", "message_event", "more_body", "response_complete", "response_started"} <= assigned(
        RequestResponseCycle
    )
    assert {
        "client",
        "close_sent",
        "close_timer",
        "conn",
        "handshake_complete",
        "loop",
        "pong_timer",
        "queue",
        "read_paused",
        "request",
        "response",
        "scope",
        "transport",
        "writable",
    } <= assigned(WebSocketsSansIOProtocol)


def test_what_stands_in_for_a_queue_and_an_event_has_what_uvicorn_uses_of_them() -> None:
    assert attributes_used(websockets_sansio_impl, "queue") <= set(dir(sockets.Inbox))
    assert attributes_used(websockets_sansio_impl, "writable") <= set(dir(sockets.Flag))


def test_what_stands_in_for_a_connection_has_what_uvicorn_uses_of_it() -> None:
    inherited = {"set_protocol"}  # only for a WebSocket, which gets the connection itself
    assert attributes_used(httptools_impl, "transport") <= set(vars(ending.EndingTransport)) | inherited


def test_what_stands_in_for_a_server_has_what_uvicorn_uses_of_it() -> None:
    source = inspect.getsource(uvicorn.Server)
    used = {
        node.attr
        for node in ast.walk(ast.parse(textwrap.dedent(source)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "server"
    }
    assert used - {"sockets"} <= set(vars(tls.TlsListener))  # those, when it has made the server itself
    assert "config=config,\n                server_state=self.server_state,\n" in source


def test_the_keep_alive_is_read_when_an_answer_has_ended() -> None:
    """So that it may be changed for one connection, before or during a request."""
    assert "self.timeout_keep_alive," in inspect.getsource(HttpToolsProtocol.on_response_complete)
    assert "set_protocol" in inspect.getsource(httptools_impl.HttpToolsProtocol.handle_websocket_upgrade)


def test_a_protocol_is_made_of_a_config_and_the_servers_state() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return None

    config = uvicorn.Config(app, log_config=None)
    for kind in (HttpToolsProtocol, WebSocketsSansIOProtocol):
        assert list(inspect.signature(kind).parameters)[:3] == ["config", "server_state", "app_state"]
    assert ServerState().connections == set()
    assert config.timeout_keep_alive
