"""Secrets come by the environment, or by files that it names: command lines are for everybody to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from niyanta.errors import ConfigurationError

__all__ = ["holds_secret", "secret_value"]


def secret_value(environment: Mapping[str, str], name: str) -> str:
    """What a variable says, else what the file says that ``<name>_FILE`` names; empty when there is neither.

    Raises:
        ConfigurationError: The file can't be read.
    """
    if found := environment.get(name):
        return found
    path = environment.get(f"{name}_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{name}_FILE can't be read: {exc}") from exc


def holds_secret(value: str) -> bool:
    """Whether what was given opens a door: of URLs those that do, and everything else."""
    return any(_opens(each.strip()) for each in value.split(",")) if "://" in value else bool(value)


def _opens(url: str) -> bool:
    try:
        place = urlsplit(url)
    except ValueError:
        return True
    # In a URL of NATS a name without a password is a token.
    return place.password is not None or (place.scheme in ("nats", "tls") and "@" in place.netloc)
