"""The client, for asyncio."""

from __future__ import annotations

from niyanta.client.admin import AsyncAdmin
from niyanta.client.configs import AsyncConfigs
from niyanta.client.customer import AsyncAccount
from niyanta.client.transport import Transport, find_credentials
from niyanta.client.workloads import AsyncWorkloads

__all__ = ["AsyncClient"]


class AsyncClient:
    """A connection to Niyanta.

    Args:
        api_key: ``nyt_…``; else ``NIYANTA_API_KEY``, else the credentials of a ``niyanta dev`` in this folder
            (its admin key for ``admin``). One that ends in ``...`` is a placeholder and counts as not given.
        base_url: Without ``/v1``; else ``NIYANTA_URL``, else as above.
        timeout: Seconds for one request.
        max_retries: How often a request is repeated, where that is safe.

    Attributes:
        workloads: Submit, read, move and watch workloads.
        configs: Set workload types up.
        customer: The account: limits, use, statistics.
        admin: Workers, customers and keys; needs a key with the admin role.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 4,
    ) -> None:
        self._transport = Transport(find_credentials(api_key, base_url), timeout, max_retries)
        self._admin_transport = Transport(find_credentials(api_key, base_url, admin=True), timeout, max_retries)
        self.workloads = AsyncWorkloads(self._transport)
        self.configs = AsyncConfigs(self._transport)
        self.customer = AsyncAccount(self._transport)
        self.admin = AsyncAdmin(self._admin_transport)

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._transport.close()
        await self._admin_transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient(base_url={self._transport.credentials.base_url!r})"
