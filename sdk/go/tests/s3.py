"""Serves the video of the contract's example over S3 until its input ends; prints where."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from niyanta.examples.samples import make_video
from support.s3_server import S3Server

with tempfile.TemporaryDirectory() as folder, S3Server() as server:
    video = Path(folder) / "video123.mp4"
    make_video(video, seconds=2, width=320, height=180)
    server.objects["input/video123.mp4"] = video.read_bytes()
    print(json.dumps(server.environment), flush=True)
    sys.stdin.read()
    print(json.dumps(sorted(server.objects)), flush=True)
