"""The certificate of this coordinator's listeners, read again when its files change or somebody says so.

Identity: one certificate, with its key, serves REST, WebSockets and gRPC alike; where clients must show one, too, its
authority is read with it. Whoever accepts a connection asks for what is `current`: so a new certificate holds for new
connections, and those that are open keep the one that they began with. Authority: the files. They are looked at every
few seconds (replaced by a rename, through a link, or in place), and at once on SIGHUP. What can't be used as a whole,
such as a certificate whose new key isn't there yet, changes nothing: it is told, and looked at again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from niyanta.errors import ConfigurationError
from niyanta.server.settings import CoordinatorSettings
from niyanta.wire import tls

__all__ = ["ENDS_SOON", "Certificates", "Material", "read_certificate"]

log = logging.getLogger(__name__)

ENDS_SOON = timedelta(days=14)
"""A certificate that is good for less is told of."""
_LOOK_SECONDS = 2.0
_REMIND_SECONDS = 86_400.0

Stamp = tuple[tuple[int, int, int], ...]
"""By which a change of files is seen: what `os.stat` says of each."""


@dataclass(frozen=True)
class Material:
    """What was read at one time.

    Attributes:
        context: For connections by the standard library.
        certificate: PEM, with what leads to its authority.
        key: PEM.
        client_authority: PEM; None where clients show no certificates.
        ends_at: When the certificate is no longer good.
    """

    context: ssl.SSLContext
    certificate: bytes
    key: bytes
    client_authority: bytes | None
    ends_at: datetime


class Certificates:
    """Those of one coordinator.

    Args:
        settings: Name the files; ``tls_cert`` is one of them.
        now: Aware UTC time.

    Attributes:
        current: What new connections begin with.

    Raises:
        ConfigurationError: They can't be used; says why.
    """

    def __init__(
        self, settings: CoordinatorSettings, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._settings = settings
        self._now = now
        self._files = [file for file in (settings.tls_cert, settings.tls_key, settings.tls_client_ca) if file]
        self._wake = asyncio.Event()
        self._seen = self._stamp()
        self.current = self._read()

    def reload(self) -> None:
        """Read the files again, soon."""
        self._wake.set()

    async def run(self) -> None:
        """Look for changes, and remind of the end, until cancelled."""
        reminded: float | None = None
        complaint = ""
        clock = asyncio.get_running_loop().time
        while True:
            if self.current.ends_at - self._now() < ENDS_SOON and (
                reminded is None or clock() - reminded > _REMIND_SECONDS
            ):
                reminded = clock()
                log.warning("tls.certificate_ends", extra=self._told())
            asked = await self._look_time()
            try:
                # A slow file system must not hold up the loop.
                if await asyncio.to_thread(self._changed) or asked:
                    self.current = await asyncio.to_thread(self._read)
                    reminded, complaint = None, ""
                    log.info("tls.reloaded", extra=self._told())
            except ConfigurationError as error:
                if asked or str(error) != complaint:
                    log.error("tls.not_reloaded", extra={"error": str(error), "still_shown": self._told()})
                complaint = str(error)

    async def _look_time(self) -> bool:
        """Wait until it is time to look; whether somebody has asked for it."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    def _changed(self) -> bool:
        # Noted before the files are read: what changes while they are is seen the next time.
        before, self._seen = self._seen, self._stamp()
        return before != self._seen

    def _stamp(self) -> Stamp:
        with tls.explained(" and ".join(self._files)):
            found = [os.stat(file) for file in self._files]
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in found)

    def _read(self) -> Material:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.restrict(context)
        context.set_alpn_protocols(["http/1.1"])
        tls.load_own(context, settings.tls_cert, settings.tls_key)
        authority = None
        if settings.tls_client_ca:
            with tls.explained(settings.tls_client_ca):
                context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED if settings.requires_client_certificates else ssl.CERT_OPTIONAL
            authority = _bytes_of(settings.tls_client_ca)
        certificate = _bytes_of(settings.tls_cert)
        ends_at = read_certificate(settings.tls_cert, certificate).not_valid_after_utc
        return Material(context, certificate, _bytes_of(settings.tls_key), authority, ends_at)

    def _told(self) -> dict[str, str]:
        return {"certificate": self._settings.tls_cert, "ends_at": self.current.ends_at.isoformat()}


def read_certificate(file: str, pem: bytes | None = None) -> x509.Certificate:
    """The first one in a file: the server's own.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        return x509.load_pem_x509_certificate(_bytes_of(file) if pem is None else pem)
    except ValueError as exc:
        raise ConfigurationError(f"{file} can't be used for TLS: there is no PEM certificate in it") from exc


def _bytes_of(file: str) -> bytes:
    with tls.explained(file), open(file, "rb") as opened:
        return opened.read()
