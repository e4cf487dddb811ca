"""What a video file holds, read back whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

__all__ = ["Media", "read", "write_video"]


@dataclass
class Media:
    width: int = 0
    height: int = 0
    codec: str = ""
    sound_codec: str | None = None
    times: list[float] = field(default_factory=list)
    """When each frame is shown, in seconds."""
    pictures: list[Any] = field(default_factory=list)
    """Each frame, small and grey."""
    samples: Any = None
    """The sound, one channel, as float."""
    sound_start: float = 0.0
    sound_rate: int = 0
    holes: int = 0
    """Places where the sound doesn't go on where it stopped."""

    @property
    def duration_seconds(self) -> float:
        return self.times[-1] + (self.times[1] - self.times[0] if len(self.times) > 1 else 0.0)


def read(path: Path, *, sound: bool = True) -> Media:
    """Decode everything; packets must be in order."""
    found = Media()
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        found.codec = video.codec.canonical_name
        decoded: dict[int, int] = {}
        for packet in container.demux(video):
            if packet.dts is not None:
                assert packet.dts > decoded.get(0, packet.dts - 1)
                assert packet.pts is not None
                assert packet.pts >= packet.dts
                decoded[0] = packet.dts
            for frame in packet.decode():
                assert frame.time is not None
                found.width, found.height = frame.width, frame.height
                found.times.append(frame.time)
                found.pictures.append(frame.reformat(64, 36, "gray").to_ndarray().astype(np.int16))
    assert found.times == sorted(set(found.times))
    with av.open(str(path)) as container:
        for track in container.streams.audio[: int(sound)]:
            found.sound_codec, found.sound_rate = track.codec.canonical_name, track.rate
            parts = []
            expected: float | None = None
            even = av.AudioResampler("fltp")
            for heard in (part for whole in container.decode(track) for part in even.resample(whole)):
                assert heard.time is not None
                if expected is None:
                    found.sound_start = heard.time
                elif abs(heard.time - expected) > 0.002:
                    found.holes += 1
                expected = heard.time + heard.samples / heard.sample_rate
                parts.append(heard.to_ndarray()[0])
            found.samples = np.concatenate(parts)
    return found


def write_video(path: Path, times: list[int], *, width: int = 160, height: int = 90) -> None:
    """A picture that gets brighter, with frames at these milliseconds."""
    from fractions import Fraction

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = 10
        for number, time in enumerate(times):
            grey = np.full((height, width, 3), 40 + number * 170 // max(1, len(times)), dtype=np.uint8)
            grey[: height // 4, : width // 4] = 250  # a corner that shows which way is up
            frame = av.VideoFrame.from_ndarray(grey, "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
