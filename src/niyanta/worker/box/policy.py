"""What the operator and the app's author say of the box, as agent, launcher and template hand it on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from niyanta.domain.workers import Wall
from niyanta.errors import ConfigurationError

__all__ = ["Policy", "policy_by", "users_in"]

_LARGEST_ID = (1 << 32) - 2


@dataclass(frozen=True)
class Policy:
    """How a worker's attempts are boxed in."""

    wanted: bool = True
    """Whether they are at all."""
    pass_env: tuple[str, ...] = ()
    """Names of those ``NIYANTA_…`` variables that they may see."""
    reads: tuple[str, ...] = ()
    """Files and folders that they may read, beside the system's, the interpreter's and the app's."""
    writes: tuple[str, ...] = ()
    """Those that they may write to as well, beside their own."""
    hidden: tuple[str, ...] = ()
    """What they may not see, wherever it lies."""
    closed_ports: tuple[int, ...] = ()
    """TCP ports that they can't connect to, on whatever host."""
    scratch: str = ""
    """Where the folders of attempts lie; the launcher says it."""
    strict: bool = False
    """Whether temporary and shared memory's files are of their own too."""
    network: bool = True
    """Whether they have any."""
    users: tuple[int, ...] = ()
    """The first and the last of the user ids that processes get, each one of its own; empty: the worker's."""
    user: int = 0
    """That of one process, in what it is told itself; 0: the worker's."""
    walls: tuple[Wall, ...] = ()
    """Those that hold on this machine; the launcher finds out."""

    def encode(self) -> str:
        """As text, for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Policy:
        """Back from `encode`."""
        words = json.loads(text)
        lists = {name: tuple(value) for name, value in words.items() if isinstance(value, list)}
        return cls(**{**words, **lists, "walls": tuple(Wall(name) for name in words["walls"])})

    def holds(self, wall: Wall) -> bool:
        """Whether a wall stands."""
        return wall in self.walls


def policy_by(said: Policy, environment: Mapping[str, str] = os.environ) -> Policy:
    """What the app has said, with what the environment adds.

    Raises:
        ConfigurationError: A variable says what can't be.
    """
    closed = list(said.closed_ports)
    for word in environment.get("NIYANTA_CLOSED_PORTS", "").replace(",", " ").split():
        if not (word.isascii() and word.isdigit() and 0 < int(word) < 65536):
            raise ConfigurationError(f"NIYANTA_CLOSED_PORTS: '{word}' is no port: numbers with spaces between them")
        closed.append(int(word))
    if (word := environment.get("NIYANTA_BOX", "on")) not in ("on", "off"):
        raise ConfigurationError(f"NIYANTA_BOX must be 'on' or 'off', not '{word}'")
    return replace(
        said,
        wanted=word == "on",
        reads=(*map(_absolute, said.reads), *_listed(environment, "NIYANTA_HANDLERS_READ")),
        writes=(*map(_absolute, said.writes), *_listed(environment, "NIYANTA_HANDLERS_WRITE")),
        hidden=(*_credentials(), *_listed(environment, "NIYANTA_HIDDEN")),
        closed_ports=tuple(sorted(set(closed))),
        users=said.users or users_in(environment.get("NIYANTA_WORKER_ATTEMPT_UIDS", "")),
    )


def users_in(words: str) -> tuple[int, ...]:
    """The first and the last id of a range as operators write it; nothing of an empty text.

    Raises:
        ConfigurationError: It is no range of user ids.
    """
    if not words:
        return ()
    first, _, last = words.partition("-")
    if not all(word.isascii() and word.isdigit() for word in (first, last)):
        raise ConfigurationError(f"--attempt-uids must be a range such as 100000-100063, not '{words}'")
    if not 0 < int(first) <= int(last) <= _LARGEST_ID:
        raise ConfigurationError(f"--attempt-uids: {words} must rise, within 1 and {_LARGEST_ID}; 0 is root")
    return int(first), int(last)


def _credentials() -> Iterator[str]:
    """Where a `niyanta dev` may keep its keys that a worker started here would find."""
    folder = os.path.realpath(os.getcwd())
    yield os.path.join(folder, ".niyanta")
    while folder != (folder := os.path.dirname(folder)):
        yield os.path.join(folder, ".niyanta")


def _listed(environment: Mapping[str, str], name: str) -> list[str]:
    found = [word for word in environment.get(name, "").split(":") if word]
    if relative := [word for word in found if not word.startswith(("/", "~"))]:
        raise ConfigurationError(f"{name}: '{relative[0]}' must be an absolute path")
    return [_absolute(word) for word in found]


def _absolute(path: str) -> str:
    return os.path.realpath(os.path.expanduser(path))
