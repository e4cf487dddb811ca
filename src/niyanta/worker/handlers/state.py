"""A checkpoint's state as bytes, and back.

What is accepted comes back equal. JSON would take more: it makes null of an infinity, a list of a tuple, text of a
date or of a number that is a key, and a handler that finds that out does so after a crash, when it is too late.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from niyanta.domain.limits import MAX_CHECKPOINT_BYTES, MAX_DEPTH
from niyanta.domain.records import Encoding
from niyanta.errors import CheckpointError

__all__ = ["decode_state", "encode_state"]


_SURROGATE = re.compile("[\ud800-\udfff]")
_ADVICE = {
    tuple: "JSON knows lists only: save list(…)",
    set: "save sorted(…)",
    frozenset: "save sorted(…)",
    bytes: "bytes can be a whole state, but not a part of one: save its hex() or base64",
    bytearray: "bytes can be a whole state, but not a part of one: save its hex() or base64",
}
_HARMLESS = frozenset({bool, type(None)})


def encode_state(state: object, most_bytes: int = MAX_CHECKPOINT_BYTES) -> tuple[bytes, Encoding]:
    """A checkpoint's bytes and encoding.

    Args:
        state: None, booleans, integers of 64 bits, finite floats, text, lists and dicts with text as keys, of all of
            these, at most 64 levels deep; or bytes.
        most_bytes: What the worker can keep.

    Raises:
        CheckpointError: It would not come back as it is, and the message says which part of it; or it is too large.
    """
    if isinstance(state, (bytes, bytearray, memoryview)):
        data, encoding = bytes(state), Encoding.BYTES
    else:
        try:
            _check(state, "state", 0, [most_bytes])
            data, encoding = msgspec.json.encode(state, enc_hook=_plain), Encoding.JSON
        except (TypeError, ValueError, RecursionError) as exc:
            raise CheckpointError(f"the checkpoint can't be saved: {exc}. The last good one still stands") from exc
    if len(data) > most_bytes:
        advice = ""
        if most_bytes == MAX_CHECKPOINT_BYTES:
            advice = "; larger ones need an object store: set NIYANTA_OBJECT_STORE_URL for the worker"
        raise CheckpointError(
            f"the checkpoint has {len(data)} bytes, the limit is {most_bytes}{advice}. The last good one still stands"
        )
    return data, encoding


# C901: one branch for each kind of value
# Any: the user's, and looked at by its type.
def _check(value: Any, place: str, depth: int, room: list[int]) -> None:  # noqa: C901
    """Refuse what would not come back equal. Never more than `MAX_DEPTH` calls deep.

    ``room`` is how many bytes are left, at the least that each value takes: one that stands in many places takes it
    in each.
    """
    kind = type(value)
    if kind in _HARMLESS:
        return
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels, or holds itself")
    if kind is str or isinstance(value, str):
        if _SURROGATE.search(value):
            raise ValueError(f"{place} holds half of a surrogate pair, which UTF-8 has no bytes for")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{place} is an integer beyond 64 bits: save it as text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{place} is {value}, for which JSON has no word: save it as text, or None")
    elif isinstance(value, dict):
        _take_room(room, len(value), place)
        for key, inner in dict.items(value):
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r:.100}, which is no text: save {{str(key): …}}")
            _check(key, f"a key of {place}", depth + 1, room)
            if type(inner) not in _HARMLESS:
                _check(inner, f"{place}.{key}", depth + 1, room)
    elif isinstance(value, list):
        _take_room(room, len(value), place)
        for number, inner in enumerate(value):
            if type(inner) not in _HARMLESS:
                _check(inner, f"{place}[{number}]", depth + 1, room)
    else:
        advice = next((f": {words}" for one, words in _ADVICE.items() if isinstance(value, one)), "")
        if hasattr(value, "tolist"):
            advice = ": save its .tolist()"
        raise TypeError(f"{place} is a {kind.__name__}, which JSON would not give back as it is{advice}")


def _take_room(room: list[int], values: int, place: str) -> None:
    room[0] -= values + 2  # a bracket at either end, and a character for each value
    if room[0] < 0:
        raise ValueError(f"it is larger than what can be kept; {place:.200} is beyond that")


def _plain(value: object) -> object:
    """One of JSON's own types for a subclass of it, such as NumPy's ``float64``."""
    kinds: tuple[Callable[[Any], object], ...] = (str, int, float, list)
    return next(kind for kind in kinds if isinstance(kind, type) and isinstance(value, kind))(value)


def decode_state(data: bytes, encoding: str) -> Any:  # Any: what the handler saved
    """The state that a checkpoint holds."""
    return data if encoding == Encoding.BYTES else msgspec.json.decode(data)
