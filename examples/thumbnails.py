"""Make a folder of images smaller, with thumbnails: ``python examples/thumbnails.py [FOLDER]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from niyanta import Client
from niyanta.examples.samples import make_images


def main() -> None:
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1]).resolve()
    else:
        folder = Path(tempfile.mkdtemp(prefix="niyanta-example-")) / "photos"
        make_images(folder)
    with Client() as client:
        workload = client.workloads.submit(
            workload_type="image_processing",
            input_params={"source_url": str(folder), "max_width": 1280, "max_height": 1280, "thumbnail": 160},
        )
        print(f"submitted {workload.id}")
        result = client.workloads.wait_for_completion(workload.id).result_data or {}
    print(f"{result['processed']} images in {result['output_url']}, {result['failed']} failed")
    for loss, count in result["losses"].items():
        print(f"  in {count}: {loss}")
    for failure in result["failures"]:
        print(f"  {failure['name']}: {failure['reason']}")


if __name__ == "__main__":
    main()
