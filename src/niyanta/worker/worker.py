"""`Worker`, as its author writes and runs it."""

from __future__ import annotations

import sys

from niyanta.errors import ConfigurationError
from niyanta.worker.handlers.app import App

__all__ = ["Worker"]


class Worker(App):
    """A set of handlers, and where they run.

    Args:
        id: Unique in the fleet; made from the host's name when None.
        tags: What affinity rules can ask for.
        capacity: Workloads at the same time; the number of cores when None.
        fork: Whether the processes of workloads may be forked from one that has imported the app, which makes their
            start some twenty times cheaper. An app that can't be forked (threads, sockets or a graphics device after
            its import) is noticed by itself; False is for what can't be seen, such as a library that minds forks.
        pass_env: Names of the worker's own ``NIYANTA_…`` variables that handlers in processes shall see, such as
            ``NIYANTA_API_KEY`` for a handler that submits workloads. The rest of the environment is there anyway.
        reads: Files and folders that handlers in processes may read, beside the system's, the interpreter's and the
            app's: models, shared data.
        writes: Those that they may write to, beside their own folder.
    """

    def run(self) -> None:
        """Run as the program that defines it; reads ``NIYANTA_NATS_URL`` and the like. Blocks until stopped.

        Raises:
            ConfigurationError: It isn't called by the program that holds the worker, or a setting can't work.
            ConnectionFailedError: The broker can't be reached.
        """
        from niyanta.worker.program import run_worker  # the broker's client is needed here only

        main = sys.modules["__main__"]
        name = next((key for key, value in vars(main).items() if value is self), None)
        if name is None or not getattr(main, "__file__", None):
            raise ConfigurationError(
                "worker.run() must be called by the program that holds the worker, under if __name__ == '__main__':"
            )
        run_worker([f"{main.__file__}:{name}"])
