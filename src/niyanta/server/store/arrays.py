"""What the driver takes for an array: lists and tuples, found out by their types.

asyncpg asks two abstract base classes about each value of an array, whether that is an array, too. That runs Python
for each: half a microsecond, some eighty times for each workload, which was the twelfth part of what a coordinator
does for one. Nothing else is handed to it as an array here, and what is asked of these two names is `isinstance`. A
driver without the names is left as it is.
"""

from __future__ import annotations

from asyncpg.protocol import protocol

__all__ = ["spare_the_driver"]

_ASKED = ("IterableABC", "SizedABC")


def spare_the_driver() -> None:
    """Have the driver tell arrays by their types, in this process, from now on."""
    if all(hasattr(protocol, name) for name in _ASKED):
        for name in _ASKED:
            setattr(protocol, name, (list, tuple))
