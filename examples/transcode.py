"""Submit a video to transcode, and follow it: ``python examples/transcode.py [VIDEO [RESOLUTION]]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from niyanta import Client
from niyanta.examples.samples import make_video


def main() -> None:
    if len(sys.argv) > 1:
        video = Path(sys.argv[1]).resolve()
    else:
        video = Path(tempfile.mkdtemp(prefix="niyanta-example-")) / "clip.mp4"
        print("making a video …")
        make_video(video)
    resolution = sys.argv[2] if len(sys.argv) > 2 else "480p"
    with Client() as client:
        workload = client.workloads.submit(
            workload_type="video_transcoding", input_params={"video_url": str(video), "resolution": resolution}
        )
        print(f"submitted {workload.id}")
        for update in client.workloads.watch(workload.id):
            print(f"{update.status} {update.progress_percent} % {update.message or ''}")
        print(client.workloads.wait_for_completion(workload.id).result_data)


if __name__ == "__main__":
    main()
