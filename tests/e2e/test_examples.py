"""The bundled examples as their users run them: under ``niyanta dev``, and as the demo shows them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from niyanta import Client, InvalidInputError, WorkloadFailedError
from niyanta.cli.proof import decode_whole
from niyanta.examples.samples import make_csv, make_images, make_video
from support.processes import Dev, until, until_gone
from support.s3_server import S3Server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[Dev]:
    environment = {**s3.environment, "EXAMPLES_S3": "*=s3://input *=s3://output cust_other=s3://other"}
    system = Dev(tmp_path_factory.mktemp("dev") / "data", environment, app=None)
    system.start()
    yield system
    system.end()


def result_of(client: Client, workload_type: str, params: dict[str, Any]) -> dict[str, Any]:
    submitted = client.workloads.submit(workload_type, params)
    done = client.workloads.wait_for_completion(submitted.id, 120)
    assert done.result_data is not None
    return done.result_data


def test_what_the_documentation_offers_is_done_as_it_stands(dev: Dev) -> None:
    """Whoever opens `/docs` and presses the button has a workload that ends well."""
    found = json.loads((dev.data_dir / "credentials.json").read_text())
    with urllib.request.urlopen(f"{found['base_url']}/v1/openapi.json") as answer:
        document = json.load(answer)
    body = document["paths"]["/v1/workloads"]["post"]["requestBody"]["content"]["application/json"]["example"]
    headers = {"Authorization": f"Bearer {found['api_key']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{found['base_url']}/v1/workloads", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 202
        workload_id = json.load(answer)["workload_id"]
    with dev.client() as client:
        done = client.workloads.wait_for_completion(workload_id, 60)
    assert done.result_data == {"greeting": "Hello, you!", "attempt": 1, "began_at_step": 0}


def test_a_transcode_is_paused_resumed_and_whole(dev: Dev, tmp_path: Path) -> None:
    video, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_video(video, seconds=30, width=640, height=360)
    with dev.client() as client:
        submitted = client.workloads.submit(
            "video_transcoding",
            {
                "video_url": str(video),
                "output_url": str(output),
                "resolution": "240p",
                "speed": "slow",
                "segment_seconds": 600,
            },
        )
        deadline = time.monotonic() + 60
        now = until(client, submitted.id, "RUNNING")
        while not (now.progress_message or "").startswith("Processing frame"):
            assert time.monotonic() < deadline
            now = client.workloads.get(submitted.id, wait_seconds=5, version=now.version)
        paused = client.workloads.pause(submitted.id)
        assert paused.status == "PAUSED"
        segments = sorted((tmp_path / f"out.mp4.segments-{submitted.id}").iterdir())
        assert [path.name for path in segments] == ["00000-1.nut", "sound-1.nut"]
        assert not output.exists()
        client.workloads.resume(submitted.id)
        result = client.workloads.wait_for_completion(submitted.id, 120).result_data
        assert result is not None
        assert (result["segments"], result["segments_encoded"], result["frames"]) == (2, 2, 750)
        lines = [line.message for line in client.workloads.logs(submitted.id, limit=1000)]
        assert [line for line in lines if line.startswith("encoding")] == ["encoding segment 0", "encoding segment 1"]
    whole = decode_whole(output)
    assert (whole.width, whole.height, whole.frames) == (426, 240, 750)
    assert whole.picture_seconds == pytest.approx(30, abs=0.05)
    assert whole.sound_seconds == pytest.approx(30, abs=0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_report_is_made(dev: Dev, tmp_path: Path) -> None:
    make_csv(tmp_path / "sales.csv", rows=60_000)
    with dev.client() as client:
        params = {
            "csv_url": (tmp_path / "sales.csv").as_uri(),
            "group_by": "region",
            "value_columns": ["amount"],
            "date_column": "date",
            "chunk_mb": 1,
        }
        result = result_of(client, "report_generation", params)
    assert (result["rows"], result["bad_rows"], result["groups"]) == (59_999, 1, 6)
    assert "<svg" in Path(result["output_url"]).read_text()


def test_images_are_processed(dev: Dev, tmp_path: Path) -> None:
    make_images(tmp_path / "in", count=4)
    with dev.client() as client:
        params = {"source_url": str(tmp_path / "in"), "max_width": 200, "thumbnail": 50}
        result = result_of(client, "image_processing", params)
    assert (result["processed"], result["failed"], result["resized"]) == (4, 1, 4)
    assert len([path for path in (tmp_path / "in-processed").rglob("*") if path.is_file()]) == 8


def test_bad_parameters_are_refused_and_a_missing_file_fails_at_once(dev: Dev, tmp_path: Path) -> None:
    with dev.client() as client:
        with pytest.raises(InvalidInputError):
            client.workloads.submit("video_transcoding", {"video_url": "/x.mp4", "output_format": "avi"})
        submitted = client.workloads.submit("video_transcoding", {"video_url": f"{tmp_path}/no/such/video.mp4"})
        with pytest.raises(WorkloadFailedError) as failed:
            client.workloads.wait_for_completion(submitted.id, 30)
    assert failed.value.workload.error_message == (
        f"video_url: there is no such file on this worker: {tmp_path}/no/such/video.mp4"
    )
    assert failed.value.workload.retry_count == 0


def test_what_lies_outside_the_allowed_folders_is_refused_at_once(dev: Dev) -> None:
    with dev.client() as client:
        submitted = client.workloads.submit("video_transcoding", {"video_url": "file:///etc/passwd"})
        with pytest.raises(WorkloadFailedError) as failed:
            client.workloads.wait_for_completion(submitted.id, 30)
    message = failed.value.workload.error_message or ""
    assert message.startswith("video_url: this worker reads and writes only below ")
    assert "/tmp" in message
    assert failed.value.workload.retry_count == 0


def test_the_contract_s_example_works_where_the_operator_allows_the_buckets(
    dev: Dev, s3: S3Server, tmp_path: Path
) -> None:
    make_video(tmp_path / "in.mp4", seconds=2, width=320, height=180)
    s3.objects["input/video123.mp4"] = (tmp_path / "in.mp4").read_bytes()
    params = {"video_url": "s3://input/video123.mp4", "output_format": "mp4", "resolution": "120p"}
    with dev.client() as client:
        result = result_of(
            client, "video_transcoding", {**params, "output_url": "s3://output/video123_transcoded.mp4"}
        )
        assert result["output_url"] == "s3://output/video123_transcoded.mp4"
        submitted = client.workloads.submit("video_transcoding", {**params, "video_url": "s3://other/video123.mp4"})
        with pytest.raises(WorkloadFailedError, match=r"this worker may not use s3://other/video123.mp4 for you"):
            client.workloads.wait_for_completion(submitted.id, 30)
    (tmp_path / "out.mp4").write_bytes(s3.objects["output/video123_transcoded.mp4"])
    assert decode_whole(tmp_path / "out.mp4").frames == 50


def start_demo(scratch: Path, *arguments: str) -> subprocess.Popen[str]:
    scratch.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "niyanta.cli.demo", *arguments],
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.chaos
def test_the_demo_proves_what_it_says(tmp_path: Path) -> None:
    demo = start_demo(tmp_path / "scratch", "--seconds", "60", "--resolution", "240p")
    said, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, said
    assert "NOT" not in said
    assert "segments encoded twice after an acknowledged checkpoint" in said
    assert "redistributed" in said
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.chaos
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    demo = start_demo(tmp_path / "scratch", "--seconds", "60")
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if "RUNNING" in line:
            break
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) > 6, "".join(said)
    demo.send_signal(number)
    demo.send_signal(number)
    demo.communicate(timeout=90)
    assert demo.returncode == 1
    assert until_gone(children, 10) == []
    assert list((tmp_path / "scratch").iterdir()) == []
