"""The workload type ``video_transcoding``: sound once, picture segment by segment, then joined.

Its files lie in a folder beside the output, where any worker finds them. Each carries the number of the attempt that
wrote it, so that an attempt which was taken for dead can't touch what its successor writes. The order is always: the
file under its name, then the checkpoint that lists it. What no checkpoint lists doesn't count.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from fractions import Fraction

import msgspec
from av.error import FFmpegError

from niyanta.errors import PermanentError
from niyanta.examples.storage import Allowed, Place, locate
from niyanta.examples.video.encoding import SegmentWriter
from niyanta.examples.video.formats import Picture, picture_size, target_of
from niyanta.examples.video.joining import join
from niyanta.examples.video.parameters import Progress, Segment, Sound, Timeline, TranscodeParams, TranscodeResult
from niyanta.examples.video.sound import can_be_copied, write_sound
from niyanta.examples.video.source import Source, is_passing
from niyanta.examples.video.turning import Turner, turn_of
from niyanta.worker import SyncContext

__all__ = ["REPORT_SECONDS", "transcode"]

REPORT_SECONDS = 1.0
"""Between two reports of progress."""
_NOTICED_SECONDS = 1.0
_MOST_NAME_BYTES = 150
"""Of the output's name in that of its folder of segments, which would be too long for a file system otherwise."""
_SOUND_PERCENT, _PICTURE_PERCENT = 5.0, 95.0


def transcode(ctx: SyncContext, params: TranscodeParams) -> TranscodeResult:
    """Carry on from the checkpoint, or begin."""
    attempt = _Attempt(ctx, params)
    with _tidied_on_cancel(ctx, attempt.folder):
        try:
            return attempt.run()
        except PermanentError:
            attempt.folder.remove()
            raise
        except FFmpegError as exc:
            if is_passing(exc):
                raise
            attempt.folder.remove()
            target = f"{attempt.target.codec_name} in {params.output_format}"
            raise PermanentError(f"video_url: FFmpeg can't make {target} of this video: {exc}") from exc


@contextlib.contextmanager
def _tidied_on_cancel(ctx: SyncContext, folder: Place) -> Iterator[None]:
    """Remove the folder when the workload is cancelled: nobody will come back for it."""

    def stop(*_: object) -> None:
        raise asyncio.CancelledError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except asyncio.CancelledError:
        if ctx.cancelled:
            folder.remove()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class _Attempt:
    def __init__(self, ctx: SyncContext, params: TranscodeParams) -> None:
        self.ctx = ctx
        self.params = params
        self.target = target_of(params, ctx.config)
        allowed = Allowed.for_attempt(ctx)
        self.input = locate(params.video_url, "video_url", allowed)
        self.output = self._output(allowed)
        name = self.output.name.encode()[:_MOST_NAME_BYTES].decode(errors="ignore")
        self.folder = self.output.beside(f"{name}.segments-{ctx.workload_id}")
        self.progress = Progress("")
        self._reported_at = 0.0

    def _output(self, allowed: Allowed) -> Place:
        if self.params.output_url is not None:
            output = locate(self.params.output_url, "output_url", allowed)
        else:
            stem = self.input.name.rpartition(".")[0] or self.input.name
            output = self.input.beside(f"{stem}-{self.target.resolution or 'copy'}.{self.params.output_format}")
        if self.input.contains(output):
            raise PermanentError(f"output_url: {output.url} is the video itself; name another file")
        return output

    def run(self) -> TranscodeResult:
        version = self.input.describe().version
        self.progress = self._carried_on(version)
        if self.progress.result is None:
            if self.progress.timeline is None:
                self.progress.timeline = self._look_over()
            with Source(self.input, self.progress.timeline) as source:
                if self.progress.sound == "open":
                    self._sound(source)
            with Source(self.input, self.progress.timeline) as source:
                picture = self._picture_of(source)
                if not self.progress.video_done:
                    self._segments(source, picture)
                self.progress.result = self._join(source, picture)
            # Only who can save this may remove the segments: a successor may be reading them.
            self._save()
        self.folder.remove()
        return self.progress.result

    def _carried_on(self, version: str) -> Progress:
        """The checkpoint, as far as its files are really there; then remove what no checkpoint lists."""
        if self.ctx.checkpoint is None:
            return Progress(version)
        progress = msgspec.convert(self.ctx.checkpoint, Progress)
        if progress.result is not None:
            return progress
        if progress.source != version:
            self.ctx.log.warning("the video has changed since the last attempt: beginning anew")
            progress = Progress(version)
        found = {entry.name: entry.size_bytes for entry in self.folder.entries()}
        track = progress.sound_track
        if track is not None and found.get(track.name) != track.size_bytes:
            self.ctx.log.warning("the sound is gone or damaged: making it again")
            progress.sound, progress.sound_track = "open", None
        whole = [s for s in progress.segments if found.get(s.name) == s.size_bytes]
        if len(whole) < len(progress.segments):
            self.ctx.log.warning("%d segments are gone: making all again", len(progress.segments) - len(whole))
            progress = Progress(version, progress.sound, progress.sound_track, encodings=progress.encodings)
        self._remove_leavings(progress, found)
        return progress

    def _remove_leavings(self, progress: Progress, found: dict[str, int]) -> None:
        """Files of earlier attempts that died before their checkpoint; never those of a later one."""
        listed = {segment.name for segment in progress.segments}
        if progress.sound_track is not None:
            listed.add(progress.sound_track.name)
        for name in found.keys() - listed:
            attempt = name.removeprefix(".").partition(".")[0].rpartition("-")[2]
            if attempt.isdigit() and int(attempt) < self.ctx.attempt:
                self.folder.child(name).remove()

    def _save(self) -> int:
        sequence: int = self.ctx.save_checkpoint(msgspec.to_builtins(self.progress))
        return sequence

    def _offer(self) -> None:
        if self.ctx.checkpoint_due:
            self._save()

    def _report(self, percent: float, message: str) -> None:
        if time.monotonic() - self._reported_at >= REPORT_SECONDS:
            self._reported_at = time.monotonic()
            self.ctx.report_progress(percent, message)

    def _share(self, done_seconds: float, source: Source) -> float:
        return min(1.0, done_seconds / source.duration_seconds) if source.duration_seconds else 0.0

    def _look_over(self) -> Timeline:
        with Source(self.input) as source:
            timeline = source.look_over()
            if source.left_out:
                self.ctx.log.warning("left out: %s", ", ".join(f"{n} {kind}" for kind, n in source.left_out.items()))
        if timeline.restarts:
            self.ctx.log.warning("the video's times begin again; %d pieces are joined", timeline.restarts + 1)
        if timeline.mended:
            self.ctx.log.warning("%d times lay far from those around them, and were mended", timeline.mended)
        return timeline

    # --- sound ----------------------------------------------------------------------------------

    def _sound(self, source: Source) -> None:
        if source.audio is None:
            self.progress.sound = "none"
            return
        kept = can_be_copied(source.audio, self.target.container)
        track = Sound(self.ctx.attempt, 0, "0")

        def step(done_seconds: float) -> None:
            self._report(_SOUND_PERCENT * self._share(done_seconds, source), "Processing the sound")
            self._offer()

        place = self.folder.child(track.name)
        with place.writing(self.ctx.work_dir) as path:
            lead = write_sound(source, self.target.container, path, step)
            track.lead, track.size_bytes = str(lead), path.stat().st_size
        self.progress.sound, self.progress.sound_track = ("copied" if kept else "encoded"), track
        self.progress.damaged_packets += source.damaged_packets
        self.ctx.log.info("sound %s; checkpoint %d", self.progress.sound, self._save())

    # --- picture --------------------------------------------------------------------------------

    def _picture_of(self, source: Source) -> Picture:
        first = next(source.frames(0), None)
        if first is None:
            raise PermanentError(f"video_url: no frame of {self.input.url} can be decoded")
        self._turner = Turner(source.pixel_aspect)
        turn, frame = turn_of(first[1], source.pixel_aspect), self._turner.turned(first[1])
        aspect = Fraction(1) if turn.squares_pixels else source.pixel_aspect
        return picture_size(
            self.target.resolution, frame.width, frame.height, 1 / aspect if turn.swaps_sides else aspect
        )

    def _segments(self, source: Source, picture: Picture) -> None:
        """Encode what is missing. A segment ends when it is long enough, or when a checkpoint is due."""
        length = Fraction(self.params.segment_seconds) / source.time_base
        frames = source.frames(self.progress.next_pts)
        ahead = next(frames, None)
        damaged_before, dropped_before = self.progress.damaged_packets, self.progress.dropped_frames
        while ahead is not None:
            number = len(self.progress.segments)
            self.ctx.log.info("encoding segment %d", number)
            segment = Segment(number, self.ctx.attempt, 0, 0, 0)
            start = ahead[0]
            with self.folder.child(segment.name).writing(self.ctx.work_dir) as path:
                writer = SegmentWriter(path, self.target, picture, source.rate, source.time_base)
                with contextlib.closing(writer):
                    while ahead is not None and ahead[0] < start + length:
                        writer.add(ahead[0], self._turner.turned(ahead[1]))
                        self._report_frame(source, writer.frames, ahead[0])
                        ahead = next(frames, None)
                        if self.ctx.checkpoint_due:
                            break
                    segment.delay = writer.finish()
                segment.frames, segment.size_bytes = writer.frames, path.stat().st_size
            self.progress.damaged_packets = damaged_before + source.damaged_packets
            self.progress.dropped_frames = dropped_before + source.dropped_frames
            self._acknowledge(segment, ahead[0] if ahead is not None else None)

    def _acknowledge(self, segment: Segment, next_pts: int | None) -> None:
        self.progress.segments.append(segment)
        self.progress.encodings += 1
        self.progress.frames += segment.frames
        if next_pts is None:
            self.progress.video_done = True
        else:
            self.progress.next_pts = next_pts
        sequence = self._save()
        self.ctx.log.info("segment %d is safe: %d frames; checkpoint %d", segment.number, segment.frames, sequence)

    def _report_frame(self, source: Source, frames: int, pts: int) -> None:
        done = self._share(float(pts * source.time_base), source)
        number = self.progress.frames + frames
        expected = max(source.frames_expected, number) if source.frames_expected else "?"
        self._report(
            _SOUND_PERCENT + (_PICTURE_PERCENT - _SOUND_PERCENT) * done, f"Processing frame {number}/{expected}"
        )

    # --- both -----------------------------------------------------------------------------------

    def _join(self, source: Source, picture: Picture) -> TranscodeResult:
        progress = self.progress
        track = progress.sound_track

        def step(done_seconds: float) -> None:
            percent = _PICTURE_PERCENT + (100 - _PICTURE_PERCENT) * self._share(done_seconds, source)
            self._report(percent, f"Joining {len(progress.segments)} segments")
            self._offer()

        with self.output.writing(self.ctx.work_dir) as path:
            duration_seconds = join(
                [self.folder.child(segment.name) for segment in progress.segments],
                max(segment.delay for segment in progress.segments),
                (self.folder.child(track.name), Fraction(track.lead)) if track is not None else None,
                self.target.container,
                1 / source.rate,
                path,
                step,
            )
            size_bytes = path.stat().st_size
        return TranscodeResult(
            output_url=self.output.url,
            duration_seconds=round(duration_seconds, 3),
            frames=progress.frames,
            segments=len(progress.segments),
            segments_encoded=progress.encodings,
            codec=self.target.codec_name,
            width=picture.width,
            height=picture.height,
            size_bytes=size_bytes,
            sound=progress.sound if progress.sound != "open" else "none",
            damaged_packets=progress.damaged_packets,
            dropped_frames=progress.dropped_frames,
            restarts=progress.timeline.restarts if progress.timeline is not None else 0,
            mended_times=progress.timeline.mended if progress.timeline is not None else 0,
            missing_seconds=self._missing_seconds(source, duration_seconds),
            left_out=source.left_out,
        )

    def _missing_seconds(self, source: Source, found_seconds: float) -> float:
        missing = source.duration_seconds - found_seconds if source.tells_its_duration else 0.0
        if missing < _NOTICED_SECONDS:
            return 0.0
        self.ctx.log.warning("the video says that it is %.1f s longer than what could be read", missing)
        return round(missing, 3)
