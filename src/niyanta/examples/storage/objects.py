"""Objects of a store that speaks S3.

Endpoint, region and credentials are the worker's own, from its environment (``AWS_…``); which buckets customers may
name is for `Allowed` to say. Redirects to other addresses aren't followed.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from niyanta.errors import PermanentError
from niyanta.examples.storage.place import Entry, Place, within_disk_limit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ObjectPlace"]

_READ_BYTES = 2 << 20
_READ_TRIES = 3
_IN_PARTS = TransferConfig(multipart_threshold=16 << 20, multipart_chunksize=16 << 20, max_concurrency=4)
_PASSING = {408, 425, 429}
"""Of the answers 4xx, those that a later try may not get."""


class _RedirectError(Exception):
    pass


@functools.cache
def _client(endpoint: str | None) -> Any:  # Any: boto3 makes its clients' classes as it runs
    client = boto3.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        config=Config(
            retries={"mode": "standard", "max_attempts": 4},
            s3={"addressing_style": "path" if endpoint else "auto"},
            request_checksum_calculation="when_required",  # other stores than Amazon's don't know the newer ones
            response_checksum_validation="when_required",
            connect_timeout=10,
            read_timeout=60,
        ),
    )
    client.meta.events.register_first("needs-retry.s3", _refuse_redirect)
    return client


def _refuse_redirect(response: tuple[Any, Any] | None, **_: object) -> None:
    """Before the client goes where an answer sends it, which may be an address that only the worker can reach."""
    if response is not None and 300 <= response[0].status_code < 400:
        raise _RedirectError


class ObjectPlace(Place):
    """An object, or all objects under a prefix."""

    def __init__(self, bucket: str, key: str, field: str) -> None:
        self._bucket = bucket
        self._key = key
        self._client = _client(os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT"))
        self.name = key.rpartition("/")[2]
        self.url = f"s3://{bucket}/{key}"
        self.field = field

    def describe(self) -> Entry:
        """Its name, size and ETag."""
        with self._explained():
            found = self._client.head_object(Bucket=self._bucket, Key=self._key)
        return Entry(self.name, found["ContentLength"], found["ETag"])

    def open(self) -> BinaryIO:
        """Open it for reading, some of it at a time."""
        return io.BufferedReader(_ObjectReader(self, self.describe().size_bytes), _READ_BYTES)

    def read_range(self, start: int, length: int) -> bytes:
        """Some of the object's bytes."""
        wanted = f"bytes={start}-{start + length - 1}"
        for tries_left in reversed(range(_READ_TRIES)):
            with self._explained():
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key, Range=wanted)
            try:
                data: bytes = answer["Body"].read()
                return data
            except (HTTPClientError, IncompleteReadError):  # cut off on the way
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def child(self, name: str) -> ObjectPlace:
        """A place below this one."""
        return ObjectPlace(self._bucket, f"{self._key}/{name}", self.field)

    def beside(self, name: str) -> ObjectPlace:
        """A place with the same prefix."""
        folder, slash, _ = self._key.rpartition("/")
        return ObjectPlace(self._bucket, f"{folder}{slash}{name}", self.field)

    @contextlib.contextmanager
    def writing(self, scratch: Path) -> Iterator[Path]:
        """A path to write to; it is uploaded when the block ends well."""
        part = scratch / secrets.token_hex(8)
        try:
            with within_disk_limit(self.field):
                yield part
            with self._explained(), part.open("rb") as file:
                self._client.upload_fileobj(file, self._bucket, self._key, Config=_IN_PARTS)
        finally:
            part.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """The objects below this one, by name."""
        prefix = f"{self._key}/"
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            found = [
                Entry(name := item["Key"].removeprefix(prefix), item["Size"], item["ETag"], _problem(name))
                for page in pages
                for item in page.get("Contents", [])
                if not item["Key"].endswith("/")  # what consoles make to show a folder
            ]
        return sorted(found, key=lambda entry: entry.name)

    def remove(self) -> None:
        """Remove it and all objects below it."""
        names = [self._key, *(f"{self._key}/{entry.name}" for entry in self.entries())]
        with self._explained():
            for name in names:
                self._client.delete_object(Bucket=self._bucket, Key=name)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ClientError as exc:
            answer = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if answer in _PASSING or not 400 <= answer < 500:
                raise
            if answer == 404:
                says = f"there is no {self.url}"
            elif answer in (401, 403):
                says = f"the worker's credentials don't open {self.url}"
            else:
                says = f"the store refuses {self.url}: {exc}"
            raise PermanentError(f"{self.field}: {says}") from exc
        except _RedirectError as exc:
            says = f"the store sends the worker elsewhere for {self.url} (is AWS_REGION right?), where it doesn't go"
            raise PermanentError(f"{self.field}: {says}") from exc
        except (NoCredentialsError, PartialCredentialsError) as exc:
            raise PermanentError(f"{self.field}: this worker has no credentials for {self.url}") from exc
        except ParamValidationError as exc:
            raise PermanentError(f"{self.field}: {self.url} can't be the address of an object: {exc}") from exc


def _problem(name: str) -> str:
    """A key may be any text; one that isn't the name of a file must not become a path."""
    strange = any(part in ("", ".", "..") for part in name.split("/"))
    return "the key has an empty part, . or .. in it; rename the object" if strange else ""


class _ObjectReader(io.RawIOBase):
    """Reads an object by ranges, so that seeking costs nothing."""

    def __init__(self, place: ObjectPlace, size_bytes: int) -> None:
        self._place = place
        self._size = size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        count = min(len(view), self._size - self._at)
        if count <= 0:
            return 0
        data = self._place.read_range(self._at, count)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
