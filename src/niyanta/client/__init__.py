"""The client SDK."""

from niyanta.client.asynchronous import AsyncClient
from niyanta.client.synchronous import Client

__all__ = ["AsyncClient", "Client"]
