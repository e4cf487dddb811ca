"""The store's files of queries."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from niyanta.server import store
from niyanta.server.store.queries import Queries

__all__ = ["FILES", "FOLDER"]

FOLDER = Path(store.__path__[0])
_MODULES = [
    importlib.import_module(f"{store.__name__}.{found.name}")
    for found in pkgutil.iter_modules([str(FOLDER)])
    if not found.ispkg
]
FILES = {
    queries.file_name: queries
    for module in _MODULES
    for queries in vars(module).values()
    if isinstance(queries, Queries)
}
"""By their names, with the queries that are bound."""
