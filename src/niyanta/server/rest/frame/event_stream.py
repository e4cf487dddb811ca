"""Server-sent events (HTML Living Standard, section 9.2) as a response that goes on until one side ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from niyanta.errors import ApiError, ServiceUnavailableError
from niyanta.server.rest.uvicorn.strangers import SEND_AWAY
from niyanta.server.watching.live import LiveWatch

__all__ = ["EVENT_STREAM", "EventStream"]

EVENT_STREAM = "text/event-stream"
_STALLED_SECONDS = 10.0
"""How long a client may take nothing at all while something waits for it."""


class EventStream(StreamingResponse):
    """Sends what a watch gives, as it gives it.

    Args:
        watch: Opened already.
        leave: Ends it.
    """

    def __init__(self, watch: LiveWatch, leave: Callable[[LiveWatch], None]) -> None:
        # The header keeps a proxy such as nginx from holding events back.
        super().__init__(watch, headers={"X-Accel-Buffering": "no"}, media_type=EVENT_STREAM)
        self._watch = watch
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the watch or the client ends it."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body"})
                return
            async with asyncio.TaskGroup() as group:
                leaving = group.create_task(self._until_left(receive))
                if await self._tell(send):
                    leaving.cancel()
                else:
                    scope[SEND_AWAY]()
        finally:
            self._leave(self._watch)

    async def _until_left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._watch.interrupt(ServiceUnavailableError("The client has gone"))

    async def _tell(self, send: Send) -> bool:
        """Send all; False when the client took nothing for too long."""
        try:
            async for events in self._watch:
                async with asyncio.timeout(_STALLED_SECONDS):
                    await send({"type": "http.response.body", "body": events, "more_body": True})
        except ApiError:
            pass  # whatever it is, the client hears it when it comes back
        except TimeoutError:
            return False
        await send({"type": "http.response.body"})
        return True
