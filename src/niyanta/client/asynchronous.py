"""The client, for asyncio."""

from __future__ import annotations

from niyanta.client.admin import AsyncAdmin
from niyanta.client.async_link import AsyncHttpLink
from niyanta.client.checkpoints import AsyncCheckpoints
from niyanta.client.configs import AsyncConfigs
from niyanta.client.customer import AsyncAccount
from niyanta.client.failures import AsyncFailures
from niyanta.client.links import checked_base_url
from niyanta.client.tokens import AsyncTokens
from niyanta.client.transport import Transport, find_credentials
from niyanta.client.workloads import AsyncWorkloads

__all__ = ["AsyncClient"]


class AsyncClient:
    """A connection to Niyanta.

    Args:
        api_key: ``nyt_…``; else ``NIYANTA_API_KEY``, else the credentials of a ``niyanta dev`` in this folder
            (its admin key for ``admin``). One that ends in ``...`` is a placeholder and counts as not given.
        base_url: As in ``http://localhost:8080``; else ``NIYANTA_URL``, else as above.
        timeout: Seconds for one try of a request.
        max_retries: How often a request is repeated, where that is safe.

    Attributes:
        workloads: Submit, read, move and watch workloads.
        failures: What has failed, and replays of many.
        checkpoints: List, download and pin the checkpoints of workloads.
        configs: Set workload types up.
        customer: The account: limits, use, statistics.
        tokens: Short-lived tokens made of the key.
        admin: Workers, customers and keys; needs a key with the admin role.

    Raises:
        ConfigurationError: No key or address is given or found, or the address can't work.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 4,
    ) -> None:
        own = find_credentials(api_key, base_url)
        self._base_url = own.base_url
        self._link = AsyncHttpLink(checked_base_url(own.base_url))
        transport = Transport(own, timeout, max_retries, self._link)
        admin = find_credentials(api_key, base_url, admin=True)
        self.workloads = AsyncWorkloads(transport)
        self.failures = AsyncFailures(transport)
        self.checkpoints = AsyncCheckpoints(transport)
        self.configs = AsyncConfigs(transport)
        self.customer = AsyncAccount(transport)
        self.tokens = AsyncTokens(transport)
        self.admin = AsyncAdmin(Transport(admin, timeout, max_retries, self._link))

    async def close(self) -> None:
        """Close the connections. Idempotent; the client can't be used afterwards."""
        await self._link.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient(base_url={self._base_url!r})"
