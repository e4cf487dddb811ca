"""Real workloads: video transcoding, report generation, image processing; and ``hello``, to begin with.

``niyanta dev`` serves them when it is given no app of your own. They are also meant to be read: each saves its
checkpoint at a boundary of its own kind (a segment, a stretch of rows, a file). The libraries that do the work are
loaded by the handlers, so that an agent stays small.
"""

from __future__ import annotations

from importlib.util import find_spec

from niyanta.errors import ConfigurationError
from niyanta.examples.hello import HelloParams, HelloResult, greet
from niyanta.examples.images.parameters import ImageParams, ImageResult
from niyanta.examples.reports.parameters import ReportParams, ReportResult
from niyanta.examples.storage import Allowed
from niyanta.examples.video.parameters import TranscodeParams, TranscodeResult
from niyanta.worker import Context, SyncContext, Worker

__all__ = ["worker"]

_NEEDED = {"av": "av", "boto3": "boto3", "PIL": "pillow"}


def check_extra() -> None:
    """Name what is missing of the libraries that do the work.

    Raises:
        ConfigurationError: Something is missing.
    """
    missing = sorted(package for module, package in _NEEDED.items() if find_spec(module) is None)
    if missing:
        raise ConfigurationError(
            f"the bundled examples need {', '.join(missing)}: pip install 'niyanta[examples]' "
            "(or name an app of your own with --app)"
        )


check_extra()
Allowed.by_operator(None)  # a mistake in the settings shows when the worker starts
worker = Worker(writes=Allowed.folders())


@worker.workload("hello")
async def hello(ctx: Context, params: HelloParams) -> HelloResult:
    """A greeting after some seconds; it needs no file."""
    return await greet(ctx, params)


@worker.workload("video_transcoding")
def video_transcoding(ctx: SyncContext, params: TranscodeParams) -> TranscodeResult:
    """A video into another format, codec or size."""
    from niyanta.examples.video.transcoding import transcode

    return transcode(ctx, params)


@worker.workload("report_generation")
def report_generation(ctx: SyncContext, params: ReportParams) -> ReportResult:
    """A CSV file of any length into a report with tables and charts."""
    from niyanta.examples.reports.generation import generate

    return generate(ctx, params)


@worker.workload("image_processing")
def image_processing(ctx: SyncContext, params: ImageParams) -> ImageResult:
    """A folder of images into smaller ones, another format, thumbnails."""
    from niyanta.examples.images.processing import process

    return process(ctx, params)
