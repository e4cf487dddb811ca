"""Checkpoints that are too large for the database, in an object store: a directory, S3, GCS or Azure.

They are stored as they are: state of that size is mostly numbers that don't compress, and an uncompressed object can
be checked and streamed with nothing in between.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from niyanta.errors import ConfigurationError, ConnectionFailedError

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket

__all__ = ["DamagedObjectError", "ObjectStore", "checkpoint_folder", "size_and_sha256"]

log = logging.getLogger(__name__)

_CHUNK_BYTES = 4 << 20


class DamagedObjectError(Exception):
    """The object is missing, or isn't what was stored."""


def checkpoint_folder(customer_id: str, workload_id: str, generation: int) -> str:
    """Where the large checkpoints of one attempt lie; ends with a slash."""
    return f"checkpoints/{quote(customer_id, safe='')}/{quote(workload_id, safe='')}/{generation}/"


class ObjectStore:
    """One bucket or directory, by its URL: ``file:///path``, ``s3://bucket/prefix``, ``gs://…``, ``az://…``.

    Credentials come from the environment as the store's own tools know them (``AWS_ACCESS_KEY_ID`` and so on).
    """

    def __init__(self, url: str) -> None:
        """Open it; nothing is sent yet.

        Raises:
            ConfigurationError: No such kind of store, or obstore isn't installed.
        """
        try:
            from obstore.store import from_url
        except ImportError as exc:
            raise ConfigurationError(
                "NIYANTA_OBJECT_STORE_URL is set, which needs the package obstore: pip install obstore"
            ) from exc
        try:
            self._store: Bucket = from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)
        except Exception as exc:  # obstore has no one class for what is wrong with a URL
            raise ConfigurationError(f"NIYANTA_OBJECT_STORE_URL can't be used: {_first_line(exc)}") from exc

    async def put(self, path: Path, folder: str) -> str:
        """Store a file under a new key in a folder; all of it or nothing.

        Raises:
            ConnectionFailedError: The store is away or refuses it.
        """
        import obstore

        key = f"{folder}{secrets.token_hex(8)}"
        try:
            await obstore.put_async(self._store, key, path)
        except Exception as exc:
            raise ConnectionFailedError(f"the object store didn't take it: {_first_line(exc)}") from exc
        return key

    async def get(self, key: str, path: Path, size_bytes: int, sha256: bytes) -> None:
        """Fetch an object into a file, and check it.

        Raises:
            DamagedObjectError: It is missing, or not what was stored.
            ConnectionFailedError: The store is away or refuses.
        """
        import obstore

        digest, size = hashlib.sha256(), 0
        try:
            found = await obstore.get_async(self._store, key)
            with path.open("wb") as file:
                async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                    size += len(chunk)
                    await asyncio.to_thread(_keep, file, digest, bytes(chunk))
        except FileNotFoundError as exc:
            raise DamagedObjectError("it is missing") from exc
        except Exception as exc:
            raise ConnectionFailedError(f"the object store didn't give it: {_first_line(exc)}") from exc
        if size != size_bytes or digest.digest() != sha256:
            raise DamagedObjectError("its length or its SHA-256 is wrong")

    async def write(self, key: str, data: bytes) -> None:
        """Store some bytes under a key.

        Raises:
            ConnectionFailedError: The store is away or refuses it.
        """
        import obstore

        try:
            await obstore.put_async(self._store, key, data)
        except Exception as exc:
            raise ConnectionFailedError(f"the object store didn't take it: {_first_line(exc)}") from exc

    async def read_folder(self, folder: str) -> dict[str, bytes]:
        """All objects whose keys begin with a folder's name, by key.

        Raises:
            ConnectionFailedError: The store is away or refuses.
        """
        import obstore

        try:
            found: dict[str, bytes] = {}
            async for listed in obstore.list(self._store, folder):
                for meta in listed:
                    content = await obstore.get_async(self._store, meta["path"])
                    found[meta["path"]] = bytes(await content.bytes_async())
        except Exception as exc:
            raise ConnectionFailedError(f"the object store didn't give it: {_first_line(exc)}") from exc
        return found

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """What an object holds, in pieces.

        Raises:
            DamagedObjectError: It is missing.
            ConnectionFailedError: The store is away or refuses.
        """
        import obstore

        try:
            found = await obstore.get_async(self._store, key)
        except FileNotFoundError as exc:
            raise DamagedObjectError("it is missing") from exc
        except Exception as exc:
            raise ConnectionFailedError(f"the object store didn't give it: {_first_line(exc)}") from exc

        async def pieces() -> AsyncIterator[bytes]:
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)

        return pieces()

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects that nothing names any more. Best effort: what fails is logged and stays behind."""
        import obstore

        for key in keys:
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                continue
            except Exception as exc:
                log.warning("objects.not_deleted", extra={"error": _first_line(exc)})


def size_and_sha256(path: Path) -> tuple[int, bytes]:
    """A file's length in bytes, and their SHA-256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").digest()


def _keep(file: BinaryIO, digest: hashlib._Hash, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
