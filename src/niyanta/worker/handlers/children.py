"""What a forked child must not share with the program that it was forked from.

A fork copies everything: the wake-up descriptor and the handlers of signals (a signal for the child would be taken
for one of the parent's own), the sockets (a child that holds one hides the parent's death, and what it says there is
taken for the parent's word), and the event loop in whose middle it may stand. So a child gets default handlers and
dead descriptors, and ends as soon as it would go on with what only the parent may do.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NoReturn

from niyanta.worker.handlers.text import describe

__all__ = ["ExitError", "Guard", "Stepwise", "awaited", "called"]

CHILD_STATUS = 70
"""Exit status of a child that came back from the handler; EX_SOFTWARE of sysexits.h."""

_guards: dict[int, Guard] = {}
_forking = threading.local()
_in_handler: contextvars.ContextVar[bool] = contextvars.ContextVar("niyanta_in_handler", default=False)
_contained: contextvars.ContextVar[bool] = contextvars.ContextVar("niyanta_contained", default=False)


class ExitError(Exception):
    """A handler called ``sys.exit`` or the like where that would end more than itself."""


class Guard:
    """Keeps what the program has set up by now from children that are forked within.

    It may be entered again before it is left: the handlers that count are those of the first entry.

    Args:
        signals: Whose present handlers are the program's own. One that user code puts in their place is left alone.
        descriptors: Gives the descriptors that nobody else may hold, at the time of a fork.

    Attributes:
        handlers: By signal, those that are the program's.
    """

    def __init__(
        self, signals: Iterable[signal.Signals] = (), descriptors: Callable[[], Iterable[int]] = tuple
    ) -> None:
        self._signals = tuple(signals)
        self._entries = 0
        self.handlers: dict[signal.Signals, object] = {}
        self.descriptors = descriptors

    def __enter__(self) -> None:
        if not self._entries:
            self.handlers = {number: signal.getsignal(number) for number in self._signals}
            _guards[id(self)] = self
        self._entries += 1

    def __exit__(self, *_: object) -> None:
        self._entries -= 1
        if not self._entries:
            del _guards[id(self)]


def _end_child(pid: int, what: BaseException | None) -> None:
    """End this process if it is a forked child of the one with that id, and say so.

    Args:
        pid: Whose code called the handler.
        what: What the child has raised; None when it has returned.
    """
    if os.getpid() == pid:
        return
    if isinstance(what, SystemExit):
        _leave(what.code if isinstance(what.code, int) else 0 if what.code is None else 1)
    did = "returned from it" if what is None else f"left it with {describe(what)}"
    _say(f"a process that the handler forked {did}; it ends here. End such a process with os._exit()")
    _leave(CHILD_STATUS)


class Stepwise(Coroutine[Any, Any, Any]):
    """A coroutine of a handler, which ends a forked child before that reaches the event loop again.

    Args:
        work: What it does; also gives it its name and frame.
    """

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self._pid = os.getpid()
        self._contained = _contained.get()

    def send(self, value: object) -> object:
        """Do a step; a child that was forked in it ends."""
        return self._step(self._work.send, value)

    def throw(self, *what: object) -> object:
        """Do a step that begins with an exception; a child that was forked in it ends."""
        return self._step(self._work.throw, *what)

    def close(self) -> None:
        """Give the coroutine up where it stands."""
        self._work.close()

    def _step(self, step: Callable[..., Any], *what: object) -> object:
        if os.getpid() != self._pid:
            _came_back()  # the step is the parent's
        try:
            wanted = step(*what)
        except BaseException as exc:
            if os.getpid() != self._pid:
                _end_child(self._pid, None if isinstance(exc, StopIteration) else exc)
            if self._contained and isinstance(exc, SystemExit | KeyboardInterrupt):
                raise ExitError(f"the handler raised {type(exc).__name__}({_shown(exc)})") from exc
            raise
        if os.getpid() != self._pid:
            _end_child(self._pid, None)
        return wanted

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value]  # has all that ``await`` asks of one

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> object:
        return self._step(self._work.send, None)

    def __getattr__(self, name: str) -> object:
        return getattr(self._work, name)  # its name and frame, for whoever looks at a task


_OF_STEPS = frozenset(method.__code__ for method in (Stepwise.send, Stepwise.throw, Stepwise.__next__))


def called(function: Callable[..., Any], *arguments: object, **options: object) -> object:
    """Call what is a handler's; a child that is forked in it ends."""
    pid = os.getpid()
    try:
        result = function(*arguments, **options)
    except BaseException as exc:
        _end_child(pid, exc)
        raise
    _end_child(pid, None)
    return result


async def awaited(function: Callable[..., Any], *arguments: object, contained: bool = False) -> object:
    """Run an async handler; a child that is forked in it, its tasks or its threads ends there.

    Args:
        function: The handler; gives what is to be awaited.
        *arguments: Of its call.
        contained: Whether the event loop is others' too, and must not be ended by ``sys.exit`` in a task.

    Raises:
        ExitError: It was, or would have been.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop.get_task_factory(), _TaskFactory):
        loop.set_task_factory(_TaskFactory(loop.get_task_factory(), _below_coroutines()))
        loop.set_default_executor(_Executor(thread_name_prefix="asyncio"))
    _in_handler.set(True)
    _contained.set(contained)

    async def work() -> object:
        return await function(*arguments)

    return await Stepwise(work())


class _TaskFactory:
    """Makes an event loop's tasks; those that handlers start are done step by step.

    Args:
        before: The factory that the loop had.
        base: Identity of the frame from which the loop calls what is due, where it has none of its own.
    """

    def __init__(self, before: Callable[..., asyncio.Future[Any]] | None, base: int) -> None:
        self._make = before
        self.base = base

    # Any: as the event loop's own factory has them.
    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Future[Any]:
        if _in_handler.get() and asyncio.iscoroutine(work):
            work = Stepwise(work)
        if self._make is not None:
            return self._make(loop, work, **options)
        return asyncio.Task(work, loop=loop, **options)


class _Executor(ThreadPoolExecutor):
    """An event loop's threads. In a child the one that forked would wait for more to do, for ever."""

    def submit(self, fn: Callable[..., Any], /, *arguments: object, **options: object) -> Future[Any]:
        return super().submit(called, fn, *arguments, **options)


def _shown(exc: BaseException) -> str:
    code = exc.code if isinstance(exc, SystemExit) else None
    return repr(code) if isinstance(code, int | str) else ""


def _say(words: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{words}\n".encode(errors="replace"))


def _leave(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _before() -> None:
    """Hold signals back: one for the child may come before it has let go of what is the parent's."""
    _forking.loop = asyncio._get_running_loop() if _guards else None
    _forking.mask = None
    if _guards:
        numbers = {number for guard in list(_guards.values()) for number in guard.handlers}
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def _after() -> None:
    if _forking.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _in_child() -> None:
    try:
        if _guards:
            _let_go()
    finally:
        _after()


def _let_go() -> None:
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for guard in list(_guards.values()):
        for number, handler in guard.handlers.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        for descriptor in guard.descriptors():
            # Not closed: the number would be given away, and the object that still has it would close another's.
            with contextlib.suppress(OSError):
                os.dup2(null, descriptor, inheritable=False)
    os.close(null)
    loop: asyncio.AbstractEventLoop | None = _forking.loop
    if loop is not None:
        asyncio._set_running_loop(None)
        # For a fork in a callback, which can't be done step by step: what is due beside it is the parent's.
        if (ready := getattr(loop, "_ready", None)) is not None:
            ready.clear()
        else:
            _end_with_callback(loop)
        with contextlib.suppress(RuntimeError):
            loop.call_soon(_came_back)


def _below_coroutines() -> int:
    """Identity of the first frame below that is no coroutine's: under uvloop the one in which the loop runs."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and (frame.f_code.co_flags & inspect.CO_COROUTINE or frame.f_code in _OF_STEPS):
        frame = frame.f_back
    return id(frame)


def _at_return(_frame: types.FrameType, event: str, _argument: object) -> object:
    """Trace a callback up to its end."""
    if event == "return":
        _came_back()
    return _at_return


def _end_with_callback(loop: asyncio.AbstractEventLoop) -> None:
    """End this process when the callback returns that it was forked in; a loop like uvloop hides what else is due.

    Nothing is done for a fork in a step of a coroutine, which ends by itself.
    """
    base = getattr(loop.get_task_factory(), "base", None)
    frame, callback = sys._getframe(), None
    own = {_end_with_callback.__code__, _let_go.__code__, _in_child.__code__}
    while id(frame) != base:
        if frame.f_code in _OF_STEPS or frame.f_back is None:
            return
        frame, callback = frame.f_back, frame if frame.f_code not in own else None
    if callback is None:
        _came_back()  # ``os.fork`` itself was the callback

    sys.settrace(lambda *_: None)
    callback.f_trace_lines = False
    callback.f_trace = _at_return


def _came_back() -> NoReturn:
    _say("a process that the handler forked came back to the event loop; it ends here. End it with os._exit()")
    _leave(CHILD_STATUS)


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
