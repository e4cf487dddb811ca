"""The same client without ``await``: a thin facade that runs the asynchronous one on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from niyanta.client.asynchronous import AsyncClient, AsyncWorkloads
from niyanta.client.models import AuditEvent, LogLine, Page, Workload

__all__ = ["Client"]

T = TypeVar("T")


class _Loop:
    """An event loop on a daemon thread; works where another loop is running already."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="niyanta-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def following() -> tuple[bool, T | None]:
            try:
                return True, await anext(items)
            except StopAsyncIteration:
                return False, None

        while True:
            more, item = self.run(following())
            if not more:
                return
            yield item  # type: ignore[misc] # an item comes with every True

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def _close(loop: _Loop, client: AsyncClient) -> None:
    loop.run(client.close())
    loop.stop()


class Client:
    """A connection to Niyanta; arguments as for `AsyncClient`."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 4,
    ) -> None:
        self._client = AsyncClient(api_key, base_url, timeout, max_retries)
        loop = _Loop()
        self.workloads = Workloads(loop, self._client.workloads)
        self._finalizer = weakref.finalize(self, _close, loop, self._client)

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._finalizer()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._client).removeprefix("Async")


class Workloads:
    """Calls on workloads; each as in `AsyncWorkloads`."""

    def __init__(self, loop: _Loop, workloads: AsyncWorkloads) -> None:
        self._loop = loop
        self._workloads = workloads

    def submit(self, workload_type: str, input_params: dict[str, Any], **options: Any) -> Workload:
        """As `AsyncWorkloads.submit`."""
        return self._loop.run(self._workloads.submit(workload_type, input_params, **options))

    def get(self, workload_id: str, **options: Any) -> Workload:
        """As `AsyncWorkloads.get`."""
        return self._loop.run(self._workloads.get(workload_id, **options))

    def list(self, **options: Any) -> Page:
        """As `AsyncWorkloads.list`."""
        return self._loop.run(self._workloads.list(**options))

    def iterate(self, **options: Any) -> Iterator[Workload]:
        """As `AsyncWorkloads.iterate`."""
        return self._loop.iterate(self._workloads.iterate(**options))

    def cancel(self, workload_id: str, reason: str | None = None) -> Workload:
        """As `AsyncWorkloads.cancel`."""
        return self._loop.run(self._workloads.cancel(workload_id, reason))

    def pause(self, workload_id: str) -> Workload:
        """As `AsyncWorkloads.pause`."""
        return self._loop.run(self._workloads.pause(workload_id))

    def resume(self, workload_id: str) -> Workload:
        """As `AsyncWorkloads.resume`."""
        return self._loop.run(self._workloads.resume(workload_id))

    def logs(self, workload_id: str, **options: Any) -> Sequence[LogLine]:
        """As `AsyncWorkloads.logs`."""
        return self._loop.run(self._workloads.logs(workload_id, **options))

    def audit(self, workload_id: str) -> Sequence[AuditEvent]:
        """As `AsyncWorkloads.audit`."""
        return self._loop.run(self._workloads.audit(workload_id))

    def watch(self, workload_id: str) -> Iterator[Workload]:
        """As `AsyncWorkloads.watch`."""
        return self._loop.iterate(self._workloads.watch(workload_id))

    def wait_for_completion(self, workload_id: str, timeout: float | None = None) -> Workload:
        """As `AsyncWorkloads.wait_for_completion`."""
        return self._loop.run(self._workloads.wait_for_completion(workload_id, timeout))
