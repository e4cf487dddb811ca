"""The keys of ``niyanta dev``, and the file in which clients find them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from niyanta.domain.customers import Role
from niyanta.domain.join_tokens import Grant
from niyanta.errors import ConflictError
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.join_tokens import JoinTokenStore, hash_of

__all__ = ["CUSTOMER_ID", "Credentials"]

CUSTOMER_ID = "cust_dev"
_ROLES = {"api_key": Role.CUSTOMER, "admin_api_key": Role.ADMIN}


class Credentials:
    """``credentials.json`` in the data directory: there exactly while the system can be used.

    The keys themselves stay in ``keys.json``, so that each start has the same.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "credentials.json"
        self._keys_path = data_dir / "keys.json"

    async def keys(self, database_url: str) -> dict[str, str]:
        """``api_key``, ``admin_api_key`` and ``join_token``: those of the last start while good, else new ones."""
        kept = {**_read(self._path), **_read(self._keys_path)}
        self.withdraw()
        database = await Database.open(database_url, in_passing=True)
        try:
            store = CustomerStore(database)
            with contextlib.suppress(ConflictError):
                await store.create_customer("Development", CUSTOMER_ID, "enterprise")
            keys: dict[str, str] = {}
            for name, role in _ROLES.items():
                key = kept.get(name)
                if not key or not await store.identify([key]):
                    _, key = await store.create_key(CUSTOMER_ID, f"niyanta dev ({role})", role)
                keys[name] = key
            keys["join_token"] = await _join_token(JoinTokenStore(database), kept.get("join_token"))
        finally:
            await database.close()
        _write(self._keys_path, keys)
        return keys

    def publish(self, found: dict[str, str]) -> None:
        """Let clients find the system."""
        _write(self._path, found)

    def withdraw(self) -> None:
        """Let clients find nothing. Idempotent."""
        self._path.unlink(missing_ok=True)


async def _join_token(store: JoinTokenStore, kept: str | None) -> str:
    """The one of the last start while it is good, else a new one."""
    if kept and any(token.token_sha256 == hash_of(kept) for token in await store.live()):
        return kept
    return (await store.create("niyanta dev", Grant()))[1]


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _write(path: Path, found: dict[str, str]) -> None:
    """Whole or not at all, for the owner alone."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(found, indent=2))
    fresh.replace(path)
