"""Where the examples read and write: local paths, ``file://`` and ``s3://``, behind one small interface, `Place`.

`place` says what can be done, and is all that the handlers know; `local` and `objects` say how. Customers name the
addresses, so each is held against what the operator of the worker allows (`Allowed`).
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

from niyanta.errors import PermanentError
from niyanta.examples.storage.allowed import Allowed
from niyanta.examples.storage.local import LocalPlace
from niyanta.examples.storage.place import Entry, Place, UnusableNameError

__all__ = ["Allowed", "Entry", "LocalPlace", "Place", "UnusableNameError", "locate"]


def locate(url: str, field: str, allowed: Allowed) -> Place:
    """The place that an address names.

    Args:
        url: An absolute path, ``file:///path`` or ``s3://bucket/key``.
        field: The parameter it came from, for error messages.
        allowed: What the customer may name.

    Raises:
        PermanentError: It is none of these, or not allowed.
    """
    scheme, separator, rest = url.partition("://")
    if url.startswith("/"):
        return _local(url, field, allowed)
    if separator and scheme.lower() == "file":
        host, _, path = rest.partition("/")
        if host in ("", "localhost"):
            return _local(os.fsdecode(unquote_to_bytes(f"/{path}")), field, allowed)
    if separator and scheme.lower() == "s3":
        from niyanta.examples.storage.objects import ObjectPlace  # loads what speaks S3 only where it is needed

        bucket, _, key = rest.partition("/")
        key = key.strip("/")
        if bucket and key:
            allowed.check_object(bucket, key, field)
            return ObjectPlace(bucket, key, field)
    raise PermanentError(f"{field}: '{url}' must be an absolute path, file:///path or s3://bucket/key")


def _local(path: str, field: str, allowed: Allowed) -> LocalPlace:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise PermanentError(f"{field}: the name must be UTF-8; rename the file") from None
    if "\0" in path:
        raise PermanentError(f"{field}: '{path}' must be an absolute path without NUL")
    place = LocalPlace(Path(path), field, allowed.roots)
    place.real_path()
    return place
