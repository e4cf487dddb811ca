"""The control socket of an attempt's process, and the thread that serves it."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from niyanta.wire.messages import LogLine
from niyanta.worker.runner import channel
from niyanta.worker.runner.control import Control
from support.pace import pace

LARGE = channel.Done(b'"' + b"x" * (1 << 20) + b'"')
"""More than the socket holds."""
DEADLINE = 10.0


@contextmanager
def _started(**words: int) -> Iterator[tuple[Control, socket.socket]]:
    """A control with its thread, and the agent's end."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(DEADLINE * pace())
    one = Control(ours, **words)
    one.start()
    try:
        with theirs:
            yield one, theirs
            one.detach()
            theirs.shutdown(socket.SHUT_RDWR)
            one.close()
    finally:
        one.drop()


def _heard(theirs: socket.socket) -> channel.FromRunner:
    frame = channel.receive_frame(theirs)
    assert frame is not None
    message: channel.FromRunner = channel.decode_from_runner(frame)
    return message


def _wait(event: threading.Event) -> None:
    assert event.wait(DEADLINE * pace())


def test_the_last_word_is_waited_for_while_the_agent_is_busy() -> None:
    """A result is larger than what the socket holds, and nobody reads for a while."""
    with _started() as (one, theirs):
        one.send(LARGE)
        closing = threading.Thread(target=one.close)
        closing.start()
        closing.join(1.5)
        assert closing.is_alive()
        assert _heard(theirs) == LARGE
        closing.join(DEADLINE * pace())
        assert not closing.is_alive()


def test_the_agent_is_heard_while_it_takes_nothing() -> None:
    """Otherwise a checkpoint's answer would wait for a log that the agent doesn't read yet."""
    heard = threading.Event()
    with _started() as (one, theirs):
        one.attach(lambda _: heard.set())
        one.send(LARGE)
        theirs.sendall(channel.encode(channel.Cancelled()))
        _wait(heard)
        assert _heard(theirs) == LARGE


def test_what_the_agent_says_may_come_in_pieces() -> None:
    heard: list[channel.ToRunner] = []
    both = threading.Event()

    def hear(message: channel.ToRunner) -> None:
        heard.append(message)
        if len(heard) == 2:
            both.set()

    with _started() as (one, theirs):
        one.attach(hear)
        said: list[channel.ToRunner] = [channel.Saved(1, 2, "x" * 300, ended=False), channel.Cancelled()]
        for byte in b"".join(channel.encode(one) for one in said):
            theirs.sendall(bytes([byte]))
        _wait(both)
        assert heard == said


def test_all_that_threads_say_comes_whole_and_in_their_order() -> None:
    """Each message wakes the thread, whether it rests, is about to, or waits for the agent."""
    senders, each = 4, 300
    with _started() as (one, theirs):

        def say(sender: int) -> None:
            for number in range(each):
                one.send(channel.Report(LogLine("INFO", f"{sender} {number} {'x' * (number * 7 % 900)}"), number))

        threads = [threading.Thread(target=say, args=(sender,)) for sender in range(senders)]
        for thread in threads:
            thread.start()
        numbers: dict[str, list[int]] = {}
        for _ in range(senders * each):
            report = _heard(theirs)
            assert isinstance(report, channel.Report)
            assert isinstance(report.body, LogLine)
            numbers.setdefault(report.body.message.split()[0], []).append(report.number)
        for thread in threads:
            thread.join()
    assert list(numbers.values()) == [list(range(each))] * senders


def test_a_message_that_was_not_announced_goes_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal's exception may tear the sender out of `send`, wherever it is."""
    with _started() as (one, theirs):
        first, second = channel.Dropped(1), channel.Dropped(2)
        with monkeypatch.context() as torn:
            torn.setattr(socket.socket, "send", _torn)
            with contextlib.suppress(KeyboardInterrupt):  # it isn't announced where the thread doesn't rest yet
                one.send(first)
        one.send(second)
        assert [_heard(theirs), _heard(theirs)] == [first, second]


def _torn(of: socket.socket, data: bytes, flags: int = 0) -> int:
    if threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt
    return of.sendmsg([data], [], flags)


@pytest.mark.parametrize("blocked", [False, True])
def test_an_alarm_is_kept_whether_or_not_the_agent_reads(blocked: bool) -> None:
    rang = threading.Event()
    with _started() as (one, _):
        if blocked:
            one.send(LARGE)
        one.alarm(0.05, rang.set)
        _wait(rang)


def test_an_alarm_stands_instead_of_the_one_before() -> None:
    wrong, rang = threading.Event(), threading.Event()
    with _started() as (one, _):
        one.alarm(0.2, wrong.set)
        one.alarm(0.4, rang.set)
        _wait(rang)
        one.alarm(60.0, wrong.set)
        rang.clear()
        one.alarm(0.05, rang.set)
        _wait(rang)
    assert not wrong.is_set()


def test_an_alarm_s_action_may_take_its_time() -> None:
    """The last words are still written meanwhile."""
    begun, go = threading.Event(), threading.Event()

    def action() -> None:
        begun.set()
        go.wait()

    with _started() as (one, theirs):
        one.alarm(0.0, action)
        _wait(begun)
        one.send(channel.Dropped(1))
        assert _heard(theirs) == channel.Dropped(1)
        go.set()


def test_an_alarm_is_tried_again_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    with _started() as (one, theirs):
        refused = _refusing(monkeypatch, times=3)
        rang: list[str] = []
        done = threading.Event()

        def action() -> None:
            rang.append(threading.current_thread().name)
            done.set()

        one.alarm(0.0, action)
        _wait(done)
        assert rang == ["niyanta-end"]
        assert next(refused) > 3
        one.send(channel.Dropped(1))
        assert _heard(theirs) == channel.Dropped(1)


def test_an_alarm_without_any_thread_still_has_the_last_word_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with _started(most_tries=2) as (one, theirs):
        _refusing(monkeypatch, times=1_000)
        done = threading.Event()

        def action() -> None:
            one.send(channel.Dropped(3))
            one.close()
            done.set()

        one.alarm(0.0, action)
        _wait(done)
        assert _heard(theirs) == channel.Dropped(3)


def _refusing(monkeypatch: pytest.MonkeyPatch, *, times: int) -> Iterator[int]:
    """As many threads as there may be are running, so often."""
    tries = itertools.count(1)
    really: Callable[[threading.Thread], None] = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "niyanta-end" and next(tries) <= times:
            raise RuntimeError("can't start new thread")
        really(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return tries


def test_an_alarm_is_kept_when_the_agent_is_gone() -> None:
    rang = threading.Event()
    with _started() as (one, theirs):
        theirs.shutdown(socket.SHUT_RDWR)
        assert one.next_run() is None
        for thread in threading.enumerate():
            if thread.name == "niyanta-control":
                thread.join()
        one.alarm(0.05, rang.set)
        _wait(rang)
