"""What the demo proves, read from the service's own records and from the output, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from niyanta.client.models import AuditEvent, LogLine, Workload
from niyanta.client.status import Status

__all__ = ["Claim", "Evidence", "Kill", "Video", "claims", "decode_whole"]

# The lease is 10 s; the brake and the beat may add to it.
_LONGEST_TO_CARRY_ON_SECONDS = 13.0
_BEGUN = re.compile(r"encoding segment (\d+)")


@dataclass(frozen=True)
class Kill:
    """The moment at which the demo killed an agent."""

    at: datetime
    worker_id: str
    percent: int
    message: str


@dataclass(frozen=True)
class Video:
    """A video that was decoded from its first packet to its last."""

    width: int
    height: int
    frames: int
    picture_seconds: float
    sound_seconds: float | None


@dataclass(frozen=True)
class Claim:
    """One line of the proof."""

    what: str
    holds: bool
    value: str


@dataclass(frozen=True)
class Evidence:
    """All that the claims are read from. ``sound_expected``: whether the source has sound."""

    kill: Kill | None
    workload: Workload
    audit: Sequence[AuditEvent]
    logs: Sequence[LogLine]
    output: Video | None
    source_seconds: float
    sound_expected: bool

    def after_kill(self, event_type: str) -> AuditEvent | None:
        """The first event of this type after the kill."""
        if self.kill is None:
            return None
        at = self.kill.at
        return next((e for e in self.audit if e.event_type == f"workload.{event_type}" and e.timestamp >= at), None)

    def before(self, event: AuditEvent, event_type: str) -> list[AuditEvent]:
        """All events of this type before another event."""
        return [e for e in self.audit if e.event_type == f"workload.{event_type}" and e.event_id < event.event_id]


def decode_whole(path: Path) -> Video:
    """Decode picture and sound, all of it.

    Raises:
        Exception: Something can't be decoded.
    """
    import av

    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        picture.thread_type = "AUTO"
        frames, end, width, height = 0, 0.0, 0, 0
        for frame in container.decode(picture):
            frames += 1
            end = max(end, (frame.time or 0.0) + 1 / float(picture.average_rate or 25))
            width, height = frame.width, frame.height
    heard: float | None = None
    with av.open(str(path)) as container:
        for track in container.streams.audio[:1]:
            heard = sum(frame.samples / frame.sample_rate for frame in container.decode(track))
    return Video(width, height, frames, end, heard)


def claims(evidence: Evidence) -> list[Claim]:
    """Everything that has to hold."""
    done = evidence.workload
    lines = [Claim("completed", done.status is Status.COMPLETED, done.error_message or done.status)]
    lines += _recovery(evidence)
    lines += _output(evidence)
    numbers = [event.event_id for event in evidence.audit]
    whole = numbers == list(range(1, len(numbers) + 1))
    lines.append(Claim("history without a gap", whole, f"{len(numbers)} audit events"))
    return lines


def _recovery(evidence: Evidence) -> Iterator[Claim]:
    kill = evidence.kill
    if kill is None:
        yield Claim("a worker was killed", False, "the transcode ended before it was half done")
        return
    yield Claim("killed", True, f"{kill.worker_id} with SIGKILL at {kill.percent} % ({kill.message})")
    lost, again = evidence.after_kill("redistributed"), evidence.after_kill("started")
    if lost is None or again is None:
        yield Claim("carried on by another worker", False, "never")
        return
    noticed = (lost.timestamp - kill.at).total_seconds()
    running = (again.timestamp - kill.at).total_seconds()
    yield Claim("loss noticed after", True, f"{noticed:.1f} s")
    other = again.details.get("worker_id") or again.actor_id
    fast = running <= _LONGEST_TO_CARRY_ON_SECONDS and other != kill.worker_id
    yield Claim("running again after", fast, f"{running:.1f} s on {other}")
    saved = evidence.before(lost, "checkpoint_created")
    last = max((int(event.details.get("checkpoint_sequence", 0)) for event in saved), default=0)
    resumed = int(again.details.get("checkpoint_sequence", 0))
    yield Claim("resumed from checkpoint", 0 < last == resumed, f"{resumed}, the last acknowledged one was {last}")
    if saved:
        redone = max(0.0, (kill.at - saved[-1].timestamp).total_seconds())
        yield Claim("work done again", True, f"{redone:.1f} s, since checkpoint {last}")
    yield _twice(evidence, again, len(saved))


def _twice(evidence: Evidence, again: AuditEvent, acknowledged: int) -> Claim:
    """Of the segments that the audit trail has acknowledged, how many the second attempt's log begins again."""
    result = evidence.workload.result_data or {}
    safe = acknowledged - (result.get("sound") != "none")  # one checkpoint is the sound's
    later = [line for line in evidence.logs if line.timestamp >= again.timestamp]
    begun = [int(match[1]) for line in later if (match := _BEGUN.fullmatch(line.message))]
    twice = sum(number < safe for number in begun)
    again_from = f"{min(begun)} to {max(begun)}" if begun else "none"
    holds = bool(begun) and twice == 0 and result.get("segments") == result.get("segments_encoded")
    return Claim(
        "segments encoded twice after an acknowledged checkpoint",
        holds,
        f"{twice} (0 to {safe - 1} before the loss, {again_from} after)",
    )


def _output(evidence: Evidence) -> Iterator[Claim]:
    video, result = evidence.output, evidence.workload.result_data or {}
    if video is None:
        yield Claim("output decodes from end to end", False, "it doesn't")
        return
    whole = video.frames == result.get("frames") and (video.sound_seconds is not None) == evidence.sound_expected
    sound = "no sound" if video.sound_seconds is None else f"{video.sound_seconds:.2f} s of sound"
    shape = f"{video.width}x{video.height}, {video.frames:,} frames, {sound}"
    yield Claim("output decodes from end to end", whole, shape)
    near = abs(video.picture_seconds - evidence.source_seconds) <= 0.1
    if video.sound_seconds is not None:
        near = near and abs(video.sound_seconds - video.picture_seconds) <= 0.25
    yield Claim(
        "output is as long as the input", near, f"{video.picture_seconds:.2f} of {evidence.source_seconds:.2f} s"
    )
