"""A service behind a proxy: under TLS by a certificate of its own authority, or in the clear."""

from __future__ import annotations

import contextlib
import http.server
import ipaddress
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["HOST", "Forwarder", "certificate", "forwarding", "serving"]

HOST = "service.test"
"""Known to no resolver: only a proxy leads there."""


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for `HOST`, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return public, private


class _Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"workload_id": self.path.rpartition("/")[2], "status": "PENDING", "version": 1}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.headers["Connection"] == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def _running(server: http.server.ThreadingHTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def serving(files: tuple[Path, Path] | None = None, port: int = 0) -> Iterator[int]:
    """A service that knows every workload; gives its port.

    Args:
        files: Certificate and key, for TLS.
        port: To listen on; 0 picks a free one.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Service)
    server.daemon_threads = True
    if files is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with _running(server) as found:
        yield found


class Forwarder(http.server.ThreadingHTTPServer):
    """A proxy for whom every name leads to one port of this machine.

    Attributes:
        asked: The first line and the login of each request.
    """

    daemon_threads = True

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.asked: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), _Forwarding)


class _Forwarding(http.server.BaseHTTPRequestHandler):
    server: Forwarder

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.requestline, self.headers["Proxy-Authorization"]))
        with socket.create_connection(("127.0.0.1", self.server.target_port)) as target:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: target, target: self.connection}
            while True:
                for ready in select.select(list(ends), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    ends[ready].sendall(data)

    def do_GET(self) -> None:
        self.server.asked.append((self.requestline, self.headers["Proxy-Authorization"]))
        with socket.create_connection(("127.0.0.1", self.server.target_port)) as target:
            path = urlsplit(self.path).path
            target.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            while data := target.recv(65536):
                self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def forwarding(target_port: int) -> Iterator[Forwarder]:
    """A proxy in front of a service."""
    proxy = Forwarder(target_port)
    with _running(proxy):
        yield proxy
