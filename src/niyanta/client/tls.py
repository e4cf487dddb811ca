"""How a client checks the service's certificate, and which one of its own it shows."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult

from niyanta.errors import ConfigurationError
from niyanta.wire.tls import load_own

__all__ = ["context_for"]


def context_for(base: SplitResult, environment: Mapping[str, str] = os.environ) -> ssl.SSLContext | None:
    """What holds for connections to a service; None where it is spoken to in the clear.

    The authorities are the system's, or those that ``SSL_CERT_FILE`` names. ``NIYANTA_CLIENT_CERT`` and
    ``NIYANTA_CLIENT_KEY`` name files in PEM, for a service that asks who connects.

    Raises:
        ConfigurationError: A file can't be used.
    """
    if base.scheme != "https":
        return None
    context = ssl.create_default_context()
    certificate, key = (environment.get(f"NIYANTA_CLIENT_{name}", "") for name in ("CERT", "KEY"))
    if key and not certificate:
        raise ConfigurationError("NIYANTA_CLIENT_KEY needs NIYANTA_CLIENT_CERT beside it")
    if certificate:
        load_own(context, certificate, key)
    return context
