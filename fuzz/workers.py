"""What workers, brokers and coordinators send each other, and what handlers send to their agents."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from fuzz.material import both, damaged, damaged_text, one_of, several, texts
from fuzz.target import Target
from niyanta import PermanentError, TransientError, Worker
from niyanta.domain.join_tokens import (
    CREDENTIAL_PATTERN,
    Grant,
    credential_of,
    holder_of,
    id_of,
    spell_token,
    token_of,
)
from niyanta.domain.limits import MAX_TEXT_BYTES
from niyanta.domain.workers import Isolation
from niyanta.server.fleet.admission import RefusedRegistrationError, read_registration
from niyanta.server.fleet.contents import clean, details_json, level_of, logged_at, result_problem
from niyanta.server.fleet.nkeys import ACCOUNT, SERVER, BadTokenError, KeyPair, read_token
from niyanta.server.fleet.reading import Unreadable, is_sane, read_batch
from niyanta.testing import WorkloadRun
from niyanta.wire import messages
from niyanta.wire.changes import Changed, WorkloadChange
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.frames import FRAMES_HEADER, BadFramesError, frames_of
from niyanta.wire.subjects import Subjects
from niyanta.worker.handlers.text import LineSplitter, plain
from niyanta.worker.runner import channel
from niyanta.worker.runner.marks import MarkFinder, mark

__all__ = ["TARGETS"]

# --- messages on the broker ------------------------------------------------------------------------

_REF = messages.AttemptRef("cust_a", "wl_1", 3)
_encode = msgspec.msgpack.Encoder().encode
_BODIES: list[messages.EventBody] = [
    messages.Started(),
    messages.Refused("full"),
    messages.Progressed(50, "half"),
    messages.LogLine("INFO", "line", {"a": 1, "at": datetime(2026, 1, 1, tzinfo=UTC)}),
    messages.CheckpointSaved(b'{"a": 1}', b"x" * 32),
    messages.Paused(),
    messages.Released("drained"),
    messages.Completed(b'{"a": [1, 2]}'),
    messages.Failed("broken", details={"a": 1.5}),
]
_BATCH = _encode(
    messages.EventBatch("w1", "inc", [messages.Event(_REF, n, 1, body) for n, body in enumerate(_BODIES, 1)], True)
)
_REGISTRATION = _encode(
    messages.Register(
        "w1",
        "inc",
        4,
        {"zone": "a"},
        [
            messages.HandlerInfo(
                "a", Isolation.PROCESS, True, {"type": "object", "properties": {"a": {}}}, "form", ["x"]
            )
        ],
        "1.0",
        replaces=["old"],
    )
)
_MESSAGES = [
    _encode(messages.Heartbeat("w1", "inc", False, [_REF])),
    _encode(messages.CheckpointRequest("w1", "inc", _REF, 5)),
    _encode(messages.Assign(1, "inc", [messages.Assignment(_REF, "a", b"{}")])),
    _encode(messages.CancelAttempt(_REF, "why")),
    _encode(messages.RegisterReply(True)),
    _encode(messages.HeartbeatReply(True, superseded=[_REF])),
    _encode(messages.BatchReply(True, [messages.EventReply(_REF, messages.Outcome.APPLIED)])),
    _encode(messages.CheckpointReply(True, data=b"x", total_bytes=1)),
    _encode(Changed("me", [WorkloadChange("cust_a", "wl_1", 1, "RUNNING", 1, "a")], logged=[("cust_a", "wl_1")])),
]
_READ: list[Callable[[bytes], object]] = [
    msgspec.msgpack.Decoder(kind).decode
    for kind in (
        messages.Heartbeat,
        messages.CheckpointRequest,
        messages.Command,
        messages.RegisterReply,
        messages.HeartbeatReply,
        messages.BatchReply,
        messages.CheckpointReply,
        Changed,
    )
]


def _messages(data: bytes) -> None:
    for read in _READ:
        try:
            found = read(data)
        except UNREADABLE:
            continue
        encoded = _encode(found)
        assert _encode(read(encoded)) == encoded


def _batches(data: bytes) -> None:
    try:
        batch = read_batch(data)
    except UNREADABLE:
        return
    now = datetime.now(UTC)
    for event in batch.events:
        is_sane(event.ref)
        if isinstance(event, Unreadable):
            assert event.body.permanent
            continue
        assert 0 < event.sequence < 2**63
        assert logged_at(event.occurred_at_ms, now, None) <= now
        match event.body:
            case messages.LogLine(level, message, details):
                level_of(level)
                assert "\0" not in (clean(message) or "")
                kept = details_json(details)
                assert "\\u0000" not in kept.replace("\\\\", "")
                msgspec.json.decode(kept)
            case messages.Completed(result):
                result_problem(result, 1 << 20)
            case _:
                pass


def _registrations(data: bytes) -> None:
    try:
        worker = read_registration(data)
    except RefusedRegistrationError as refused:
        assert str(refused)
        return
    for text in (msgspec.json.encode(worker.tags), msgspec.json.encode(worker.handlers)):
        assert b"\\u0000" not in text.replace(b"\\\\", b"")


# --- frames, subjects, tokens ----------------------------------------------------------------------

_client = NatsClient()


def _frames(parts: tuple[str, bytes]) -> None:
    value, data = parts
    try:
        total = frames_of(Msg(_client, "a.b", "_INBOX.a", data, {FRAMES_HEADER: value}))
    except BadFramesError:
        return
    assert 2 <= total <= 48


_subjects = Subjects("niyanta")
_CREDENTIAL = credential_of("a" * 12, "secret" * 4)


def _names(parts: tuple[str, str]) -> None:
    subject, incarnation = parts
    worker, credential = _subjects.sender_of(f"{_subjects.events}.{subject}")
    assert worker != "*"
    token_of(credential)
    holder_of(incarnation)
    if CREDENTIAL_PATTERN.fullmatch(credential):
        assert credential.isascii()


_JOIN_TOKEN = spell_token("a" * 12, "b" * 26)


def _join_tokens(text: str) -> None:
    found = id_of(text)
    if found is not None:
        assert spell_token(found, text[17:43]) == text


def _grants(parts: tuple[str, str]) -> None:
    pattern, worker_id = parts
    admitted = Grant(pattern).admits(worker_id)
    assert admitted is _admits_slowly(pattern, worker_id)


def _admits_slowly(pattern: str, text: str) -> bool:
    """By the set of places in the pattern that may be reached."""
    places = {0}
    for letter in [*text, None]:
        for place, star in enumerate(pattern):
            if star == "*" and place in places:
                places.add(place + 1)
        if letter is None:
            return len(pattern) in places
        stay = {place for place in places if place < len(pattern) and pattern[place] == "*"}
        places = stay | {p + 1 for p in places if p < len(pattern) and pattern[p] == letter and letter != "*"}
    return False


_SERVER_KEY = KeyPair(SERVER, b"s" * 32)
_NATS_TOKENS = [
    _SERVER_KEY.token({"nats": {"server_id": {"id": "x"}, "user_nkey": "U"}}).encode(),
    KeyPair(ACCOUNT, b"a" * 32).token({"nats": {}}).encode(),
]


def _broker_tokens(data: bytes) -> None:
    try:
        claims = read_token(data, SERVER)
    except BadTokenError:
        return
    assert claims["iss"] == _SERVER_KEY.public, "a token of somebody else was taken"


# --- between an agent and the process of an attempt -------------------------------------------------

_FROM_RUNNER: list[bytes] = [
    channel.encode(message)
    for message in (
        channel.Ready(),
        channel.Report(messages.Progressed(5), 1),
        channel.Save(b"{}", "json", 1),
        channel.Done(b"{}"),
        channel.Problem("x", True),
        channel.Misfit("x", False),
    )
]


def _runner_frames(data: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader(limit=1 << 16)
        reader.feed_data(data)
        reader.feed_eof()
        while (payload := await channel.read_frame(reader)) is not None:
            channel.decode_from_runner(payload)

    try:
        _runner.run(read())
    except (ValueError, RecursionError):
        return


_runner = asyncio.Runner()
_WORD = "w0rd"


def _marks(parts: tuple[bytes, list[int]]) -> None:
    data, cuts = parts
    whole = _found([data])
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    assert _found([data[begin:end] for begin, end in pairwise(places)]) == whole


def _cuts(chance: Random) -> list[int]:
    return [chance.randint(0, 10_000) for _ in range(chance.randint(0, 4))]


def _found(pieces: list[bytes]) -> list[bytes | int]:
    finder = MarkFinder(_WORD)
    found: list[bytes | int] = []
    for part in [*(part for piece in pieces for part in finder.feed(piece)), finder.end()]:
        if isinstance(part, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += part
        elif part != b"":
            found.append(part)
    return found


def _lines(pieces: list[bytes]) -> None:
    splitter = LineSplitter(clock=lambda: 0.0)
    for line in [*(line for piece in pieces for line in splitter.feed(piece)), *splitter.end()]:
        assert len(line) <= 2 * MAX_TEXT_BYTES
        shown = plain(line.decode(errors="replace")).encode()
        assert len(shown) <= MAX_TEXT_BYTES
        assert b"\0" not in shown


# --- lines of a program that serves as a handler ----------------------------------------------------

_folder = tempfile.mkdtemp(prefix="niyanta-fuzz-")
atexit.register(shutil.rmtree, _folder)
_LINES = Path(_folder) / "lines"
_worker = Worker()
_worker.command("lines", ["cat", str(_LINES)])
_EVENTS = (
    b'{"type": "progress", "percent": 12.5, "message": "x"}\n{"type": "log", "level": "WARN", "message": "y"}\n'
    b'plain\n{"type": "checkpoint"}\n{"type": "error", "message": "z", "permanent": true}\n'
)


def _command_lines(data: bytes) -> None:
    _LINES.write_bytes(data)
    with tempfile.TemporaryDirectory(dir=_folder) as scratch:
        run = WorkloadRun(_worker, "lines", {}, Path(scratch))
        try:
            assert run.attempt() == {}
        except (PermanentError, TransientError):
            assert b"error" in data
        assert all(0 <= percent <= 100 for percent in run.percents)


_OUTPUT = [b"text" + mark(_WORD, 12) + b"more\n" + mark(_WORD, 0), b"\x1ew0rd:1\x1e\x1e", b"\r 5 %\r 10 %\r\ndone\n"]

TARGETS = (
    Target("messages", "a message is read or refused, and comes back equal", damaged(*_MESSAGES), _messages),
    Target("batches", "a broken event fails its attempt, and nothing else", damaged(_BATCH), _batches),
    Target("registrations", "a registration can be kept or is refused", damaged(_REGISTRATION), _registrations),
    Target(
        "frames",
        "a message says how many frames it has, within bounds",
        both(damaged_text("2", "48", "١٢", "0002"), damaged(b"")),
        _frames,
    ),
    Target(
        "subjects",
        "who speaks is read from a subject, whatever stands there",
        both(damaged_text(f"w1.{_CREDENTIAL}", "w1", "*.>"), damaged_text(f"{_CREDENTIAL}-abc", "-", "a-b")),
        _names,
    ),
    Target(
        "join-tokens",
        "only what is spelled as ours is a token",
        one_of(damaged_text(_JOIN_TOKEN), texts()),
        _join_tokens,
    ),
    Target(
        "grants",
        "a pattern of worker ids admits what it says, in no time",
        both(one_of(texts("a*", 63), texts("ab*-", 12)), one_of(texts("a", 63), texts("ab-", 12))),
        _grants,
    ),
    Target(
        "broker-tokens", "no token is good but of the server that it names", damaged(*_NATS_TOKENS), _broker_tokens
    ),
    Target(
        "runner-frames",
        "what a handler writes to its agent's socket is read or refused",
        damaged(*_FROM_RUNNER),
        _runner_frames,
    ),
    Target("marks", "marks are found wherever a stream is cut", both(damaged(*_OUTPUT), _cuts), _marks),
    Target("output", "what a process prints becomes lines of a bounded size", several(damaged(*_OUTPUT)), _lines),
    Target("command-lines", "what a program prints never breaks its attempt", damaged(_EVENTS), _command_lines),
)
