"""What connections there are, in which role, and which customer they see."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import asyncpg

from niyanta.errors import ConfigurationError
from niyanta.server.store.arrays import spare_the_driver
from niyanta.server.store.queries import Queries
from niyanta.server.store.servers import Servers

__all__ = ["Pool", "PoolConnection", "Standing", "look", "open_pool"]

_CUSTOMER_ROLE = "niyanta_customer"
_FIRST_OWN_TYPE = 16_384
"""PostgreSQL's built-in types have lower numbers, which are the same in every database."""
_STATEMENT_MILLISECONDS = 10_000
"""The server ends what takes longer."""
_SILENT_SECONDS = 12.0
"""For a statement's answer: after that the server, which ended it before, isn't heard. With what it takes to come in
and to get a connection, a request is answered in some 20 seconds."""
_IDLE_MILLISECONDS = 3000
"""A transaction in which nothing is asked for so long is a frozen coordinator's: what it has locked is set free, so
that others get on with it within the six seconds of a takeover."""


class Pool(StrEnum):
    """Whose connections."""

    API = "api"
    """Of requests."""
    CUSTOMER = "customer"
    """Of requests that concern one customer: each connection sees that customer only, while it is lent."""
    VITAL = "vital"
    """Of what keeps the system alive, however many requests there are."""
    LEASE = "lease"
    """Of the election and of the look at one's own attendance."""


class Standing(NamedTuple):
    """In which role a program works on the database."""

    role: str
    is_superuser: bool
    owns_schema: bool
    hides_others: bool
    """Whether what concerns one customer is done in a role that sees that customer only."""


class _Durability(NamedTuple):
    fsync: str
    synchronous_commit: str


_queries = Queries("pools.sql")
_durability = _queries.sole("durability", _Durability)
_standing = _queries.sole("standing", Standing)
_show_only = _queries.run("show_only")


class PoolConnection(asyncpg.Connection):
    """A connection that needs no clean-up between two holders: nothing but `show_only` changes a session's state."""

    __slots__ = ("_shown",)

    _types: ClassVar[dict[tuple[int, frozenset[int]], Any]] = {}
    """What the driver found out about sets of built-in types, by PostgreSQL's release: each connection would ask."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._shown: str | None = None

    def get_reset_query(self) -> str:
        """None, which saves a round trip at each release."""
        return ""

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> Any:
        """Ask what types the driver doesn't know are; of built-in ones, such as arrays of text, once for the process.

        The driver's own. The answer takes the server some 20 ms, in the first use of each new connection; where a
        version of the driver hasn't this method it just asks again.
        """
        wanted = frozenset(typeoids)
        if max(wanted, default=0) >= _FIRST_OWN_TYPE:
            return await super()._introspect_types(wanted, timeout)  # type: ignore[misc]  # in no stub
        key = self.get_server_version().major, wanted
        if key not in self._types:
            self._types[key] = await super()._introspect_types(wanted, timeout)  # type: ignore[misc]  # in no stub
        return self._types[key]

    async def show_only(self, customer_id: str) -> None:
        """From now on the session sees this customer only; costs a round trip where it saw another."""
        if customer_id != self._shown:
            self._shown = None  # when this is cut off, nobody knows which it sees
            await _show_only(self, customer_id=customer_id)
            self._shown = customer_id


async def look(servers: Servers) -> Standing:
    """Look, before anything else, whether the database can be trusted, and in which role it is used.

    Raises:
        ConfigurationError: It would lose what it has acknowledged.
        OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError: There is no connection.
    """
    conn = await servers.connect()
    try:
        durability = await _durability(conn)
        if durability.fsync != "on" or durability.synchronous_commit == "off":
            raise ConfigurationError(
                "the database runs with fsync or synchronous_commit off: it would lose what it has "
                "acknowledged. Set both to on."
            )
        return await _standing(conn)
    finally:
        conn.terminate()


async def open_pool(servers: Servers, name: Pool, sizes: tuple[int, int], standing: Standing) -> asyncpg.Pool[Any]:
    """Open the first connections of a pool; the others are opened as they are needed.

    Args:
        servers: Where to.
        name: Which pool.
        sizes: How many connections it has from the start, and at the most.
        standing: In which role.
    """
    spare_the_driver()
    first, most = sizes
    settings = {
        "application_name": f"niyanta-{name}",
        "statement_timeout": str(_STATEMENT_MILLISECONDS),
        "lock_timeout": "5000",
        "idle_in_transaction_session_timeout": str(_IDLE_MILLISECONDS),
        "jit": "off",
        "TimeZone": "UTC",
        "plan_cache_mode": "force_generic_plan",
    }
    if name is Pool.CUSTOMER and standing.hides_others:
        settings["role"] = _CUSTOMER_ROLE
    return await asyncpg.create_pool(
        connect=servers.connect,
        min_size=first,
        max_size=most,
        command_timeout=_SILENT_SECONDS,
        max_inactive_connection_lifetime=0,
        connection_class=PoolConnection,
        server_settings=settings,
    )
