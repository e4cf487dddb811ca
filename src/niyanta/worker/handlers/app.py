"""The handlers of a worker as their author registers them, and what is made of that for the programs."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
import re
import secrets
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from niyanta.domain.limits import MAX_CAPACITY, MAX_TAG_LENGTH, MAX_TAGS
from niyanta.domain.workers import Isolation
from niyanta.errors import ConfigurationError
from niyanta.wire.subjects import WORKER_ID_PATTERN
from niyanta.worker.box.policy import Policy
from niyanta.worker.handlers.command import command_handler
from niyanta.worker.handlers.handler import FULL_NETWORK, Handler, make_handler
from niyanta.worker.handlers.text import clean, describe

__all__ = ["App", "WorkerSpec", "load_app", "made_id"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class WorkerSpec:
    """One worker: who it is, what it serves, how much of it at once."""

    worker_id: str
    capacity: int
    tags: Mapping[str, str]
    handlers: Mapping[str, Handler]
    """By workload type."""
    fork: bool = True
    """Whether the processes of attempts may be forked from one that has imported the app."""
    reach: Policy = field(default_factory=Policy)
    """What its handlers in processes may reach."""


class App:
    """A set of handlers and where they run: all of a `niyanta.Worker` but its ``run``."""

    def __init__(
        self,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        capacity: int | None = None,
        *,
        fork: bool = True,
        pass_env: Sequence[str] = (),
        reads: Sequence[str | os.PathLike[str]] = (),
        writes: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        if tags is not None and not isinstance(tags, Mapping):
            raise ConfigurationError(f"a worker's tags map text to text; {tags!r} does not")
        self.id = id
        self.tags = dict(tags or {})
        self.capacity = capacity if capacity is not None else (os.cpu_count() or 1)
        self.handlers: dict[str, Handler] = {}
        self.fork = fork
        self.pass_env = pass_env
        self.reads = _paths("reads", reads)
        self.writes = _paths("writes", writes)
        self.fork_hooks: list[Callable[[], object]] = []
        self.check()

    def check(self) -> None:
        """Look over what was given.

        Raises:
            ConfigurationError: The id, the tags or the capacity can't work; says what can.
        """
        if self.id is not None and not (isinstance(self.id, str) and WORKER_ID_PATTERN.fullmatch(self.id)):
            raise ConfigurationError(
                f"a worker's id must be 1 to 63 letters, digits, '_' and '-', and begin with a letter or digit, "
                f"not {self.id!r}"
            )
        is_number = isinstance(self.capacity, int) and not isinstance(self.capacity, bool)
        if not is_number or not 1 <= self.capacity <= MAX_CAPACITY:
            raise ConfigurationError(
                f"a worker's capacity must be at least 1 and at most {MAX_CAPACITY}, not {self.capacity!r}"
            )
        if isinstance(self.pass_env, str) or not all(
            isinstance(name, str) and _ENVIRONMENT_NAME.fullmatch(name) for name in self.pass_env
        ):
            raise ConfigurationError(
                f"pass_env is a list of names of environment variables, such as ['NIYANTA_API_KEY'], "
                f"not {self.pass_env!r}"
            )
        if len(self.tags) > MAX_TAGS:
            raise ConfigurationError(f"a worker can have {MAX_TAGS} tags, not {len(self.tags)}")
        for word in (*self.tags, *self.tags.values()):
            if not isinstance(word, str) or len(word) > MAX_TAG_LENGTH or clean(word) != word:
                raise ConfigurationError(
                    f"a worker's tags map text to text of at most {MAX_TAG_LENGTH} characters; {word!r} is none"
                )

    def workload(
        self,
        workload_type: str,
        *,
        isolation: str = Isolation.PROCESS,
        exclusive: bool = False,
        reuse: int = 1,
        network: str = FULL_NETWORK,
    ) -> Callable[[F], F]:
        """Serve a workload type with the decorated function.

        Args:
            workload_type: Its name.
            isolation: ``process`` (a process of its own), ``strict`` (the same, and only on machines where every
                wall of its box holds) or ``inline`` (an async handler in the agent itself).
            exclusive: Two attempts never run at once, even when the worker is cut off.
            reuse: How many attempts a process may serve, one after another, all of one customer and this type. What
                the handler leaves in memory (modules, caches, connections) is there in the next. A process whose
                attempt didn't succeed, or left threads or processes behind, isn't used again.
            network: ``full`` (all but the broker and the database) or ``none``.
        """
        if callable(workload_type):
            make_handler(workload_type, workload_type, isolation, exclusive)  # says what to write

        def register(function: F) -> F:
            self._add(make_handler(workload_type, function, isolation, exclusive, reuse, network))
            return function

        return register

    def command(
        self,
        workload_type: str,
        argv: Sequence[str],
        *,
        checkpoint_signal: str | None = None,
        exclusive: bool = False,
        isolation: str = Isolation.PROCESS,
        network: str = FULL_NETWORK,
    ) -> None:
        """Serve a workload type with any program, in any language.

        Args:
            workload_type: Its name.
            argv: The program and its arguments.
            checkpoint_signal: A signal's name, such as ``SIGUSR1``, that asks the program for a checkpoint.
            exclusive: As for `workload`.
            isolation: As for `workload`, but never ``inline``.
            network: As for `workload`.
        """
        function = command_handler(argv, checkpoint_signal)
        self._add(make_handler(workload_type, function, isolation, exclusive, network=network))

    def on_fork(self, hook: Callable[[], T]) -> Callable[[], T]:
        """Call a function in each process that was forked to run a workload, before its handler.

        The app is imported once, and the processes of workloads are forked from the one that did. What must not be
        shared with the others (an open file, a generator of random numbers of your own) is made anew here.
        """
        self.fork_hooks.append(hook)
        return hook

    def _add(self, handler: Handler) -> None:
        if handler.workload_type in self.handlers:
            raise ConfigurationError(f"workload type '{handler.workload_type}' is registered twice")
        self.handlers[handler.workload_type] = handler

    def include(self, other: App) -> None:
        """Serve another worker's types as well."""
        for handler in other.handlers.values():
            self._add(handler)
        self.fork_hooks += other.fork_hooks
        self.fork = self.fork and other.fork
        self.pass_env = (*self.pass_env, *other.pass_env)
        self.reads = (*self.reads, *other.reads)
        self.writes = (*self.writes, *other.writes)
        self.tags = {**other.tags, **self.tags}

    def spec(
        self, *, id: str | None = None, capacity: int | None = None, tags: Mapping[str, str] | None = None
    ) -> WorkerSpec:
        """What one program of this worker is: a copy, which later changes don't reach.

        Args:
            id: Instead of its own; one is made from the host's name where there is none.
            capacity: Instead of its own.
            tags: Beside its own, and before them.

        Raises:
            ConfigurationError: The id, the tags or the capacity can't work.
        """
        wanted = App(
            id if id is not None else self.id,
            {**self.tags, **(tags or {})},
            capacity if capacity is not None else self.capacity,
        )
        return WorkerSpec(
            wanted.id or made_id(),
            wanted.capacity,
            wanted.tags,
            dict(self.handlers),
            fork=self.fork,
            reach=Policy(pass_env=tuple(self.pass_env), reads=self.reads, writes=self.writes),
        )


def _paths(name: str, paths: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    if isinstance(paths, str) or not all(isinstance(path, str | os.PathLike) for path in paths):
        raise ConfigurationError(f"{name} is a list of paths, such as ['/srv/models'], not {paths!r:.200}")
    return tuple(os.fspath(path) for path in paths)


def made_id() -> str:
    """An id for a worker that was given none: by its host's name, and unlike any other."""
    host = "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname())[:30]
    return f"worker-{host.strip('-') or 'host'}-{secrets.token_hex(3)}"


def load_app(references: Sequence[str]) -> App:
    """The workers that ``module:name`` (or ``path.py:name``) references name, as one.

    Raises:
        ConfigurationError: One can't be imported or holds no `Worker`; says why.
    """
    found: list[App] = []
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for reference in references:
        module_name, _, attribute = reference.rpartition(":")
        if not module_name or not attribute:
            raise ConfigurationError(f"'{reference}' must look like module:worker")
        try:
            module = _load_file(module_name) if module_name.endswith(".py") else importlib.import_module(module_name)
        except ConfigurationError:
            raise
        except (Exception, SystemExit) as exc:
            raise ConfigurationError(f"app '{reference}' can't be imported: {describe(exc)}") from exc
        worker = getattr(module, attribute, None)
        if not isinstance(worker, App):
            raise ConfigurationError(f"'{attribute}' in '{module_name}' is no niyanta.Worker")
        found.append(worker)
    first = found[0]
    for other in found[1:]:
        if other is not first:
            first.include(other)
    if not first.handlers:
        raise ConfigurationError(f"app '{references[0]}' serves no workload type")
    return first


def _load_file(path: str) -> object:
    """Import a file under its own name, so that processes which the app starts afresh can import it as well.

    A name that another module has already is left to it.
    """
    path = os.path.abspath(path)
    folder, name = os.path.dirname(path), os.path.basename(path).removesuffix(".py")
    taken = sys.modules.get(name)
    is_free = "." not in name and (taken is None or getattr(taken, "__file__", None) == path)
    if folder not in sys.path:
        sys.path.insert(0 if is_free else len(sys.path), folder)
    if not is_free:
        name = next(name for number in itertools.count() if (name := f"niyanta_app_{number}") not in sys.modules)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"'{path}' is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
