"""Made-up inputs for the examples: ``python -m niyanta.examples.samples video|csv|images PATH``."""

from __future__ import annotations

import argparse
import csv
import datetime
import heapq
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

__all__ = ["main", "make_csv", "make_images", "make_video"]

_REGIONS = ("Asia", "Europe", "North America", "South America", "Africa", "Oceania")
_PRODUCTS = ("lamp", "chair", "desk, oak", "shelf", 'screen 24"', "plant", "rug")


def make_video(  # noqa: PLR0913 -- each a property of the video, all with defaults
    path: Path,
    *,
    seconds: float = 60.0,
    width: int = 1280,
    height: int = 720,
    rate: int = 25,
    sound: bool = True,
    video_codec: str = "libx264",
    audio_codec: str = "aac",
) -> None:
    """A moving test picture with a counter, and a melody of one note a second."""
    import av

    picture = f"testsrc2=size={width}x{height}:rate={rate}:duration={seconds}"
    tones = "|".join(
        f"0.2*sin(2*PI*t*{base}*pow(2\\,mod(floor(t)*{step}\\,12)/12))" for base, step in ((220, 7), (330, 5))
    )
    with av.open(str(path), "w") as container:
        video = cast("VideoStream", container.add_stream(video_codec, rate=rate))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.gop_size = rate * 3
        if video_codec == "libx264":
            video.options = {"preset": "ultrafast", "crf": "20"}
        tracks: list[tuple[VideoStream | AudioStream, Iterator[Any]]] = [
            (video, _filtered(picture, "format=yuv420p"))
        ]
        if sound:
            audio = cast("AudioStream", container.add_stream(audio_codec, rate=48_000, layout="stereo"))
            heard = _filtered(f"aevalsrc=exprs={tones}:s=48000:d={seconds}", "aformat=fltp:48000:stereo")
            tracks.append((audio, heard))
        timed = [_timed(stream, frames) for stream, frames in tracks]
        for _, stream, frame in heapq.merge(*timed, key=lambda entry: entry[0]):
            container.mux(stream.encode(frame))
        for stream, _ in tracks:
            container.mux(stream.encode(None))


def _timed(
    stream: VideoStream | AudioStream, frames: Iterator[Any]
) -> Iterator[tuple[float, VideoStream | AudioStream, Any]]:
    return ((frame.time, stream, frame) for frame in frames)


def _filtered(source: str, then: str) -> Iterator[Any]:
    """What a generating filter gives, through another one."""
    from av.error import EOFError as EndOfFile
    from av.filter import Graph

    graph = Graph()
    name, _, arguments = source.partition("=")
    first = graph.add(name, arguments)
    name, _, arguments = then.partition("=")
    second = graph.add(name, arguments)
    sink = graph.add("abuffersink" if name == "aformat" else "buffersink")
    first.link_to(second)
    second.link_to(sink)
    graph.configure()
    while True:
        try:
            yield graph.pull()
        except EndOfFile:
            return


def make_csv(path: Path, *, rows: int = 1_000_000, seed: int = 1) -> None:
    """Sales over two years, with a bad row here and there."""
    chance = random.Random(seed)  # noqa: S311 -- made-up figures
    first = datetime.date(2024, 1, 1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "date", "region", "product", "quantity", "amount"])
        for number in range(1, rows + 1):
            day = first + datetime.timedelta(days=int(730 * chance.random() ** 0.8))
            region = chance.choices(_REGIONS, (30, 25, 20, 8, 10, 4))[0]
            quantity = chance.randint(1, 9)
            amount: str = f"{quantity * chance.randint(500, 25_000) / 100:.2f}"
            if number % 50_000 == 0:
                amount = "n/a"
            writer.writerow([number, day.isoformat(), region, chance.choice(_PRODUCTS), quantity, amount])


def make_images(folder: Path, *, count: int = 24) -> None:
    """Gradients of several sizes and formats, and one file that is no image."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        width, height = ((1600, 1200), (1200, 1600), (640, 480), (2000, 500))[number % 4]
        image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
        ImageDraw.Draw(image).ellipse((40, 40, 240, 240), fill=((number * 47) % 256, 90, 160))
        image.save(folder / f"picture-{number:03d}{('.jpg', '.png', '.webp', '.gif')[number % 4]}")
    (folder / "broken.jpg").write_bytes(b"this is no image")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["video", "csv", "images"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--amount", type=int, help="seconds, rows or images")
    options = parser.parse_args()
    if options.kind == "video":
        make_video(options.path, seconds=options.amount or 60)
    elif options.kind == "csv":
        make_csv(options.path, rows=options.amount or 1_000_000)
    else:
        make_images(options.path, count=options.amount or 24)


if __name__ == "__main__":
    main()
