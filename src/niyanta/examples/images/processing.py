"""The workload type ``image_processing``: a folder of images, file by file in the order of their names.

Doing a file again gives the same output under the same name, so the checkpoint needs only the last name that is done.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from niyanta.errors import PermanentError
from niyanta.examples.images.parameters import Failure, ImageParams, ImageResult, Progress
from niyanta.examples.images.picture import BadPictureError, make
from niyanta.examples.storage import Allowed, Entry, Place, UnusableNameError, locate
from niyanta.worker import SyncContext

__all__ = ["SAVE_EVERY_SECONDS", "output_names", "process"]

_KEPT = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}
_READ = {*_KEPT, ".gif", ".bmp", ".tif", ".tiff"}
_ENDINGS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
_MOST_BYTES = 128 << 20
_MOST_FAILURES = 100
_MOST_ENDINGS = 20
SAVE_EVERY_SECONDS = 1.0
"""How much work a killed attempt loses, about: small next to what starting it again takes."""


def process(ctx: SyncContext, params: ImageParams) -> ImageResult:
    """Carry on after the last file that is done, or begin."""
    allowed = Allowed.for_attempt(ctx)
    source = locate(params.source_url.rstrip("/") or "/", "source_url", allowed)
    output = _output(source, params, allowed)
    entries = source.entries()
    images = [entry for entry in entries if _is_wanted(entry)]
    if not images:
        raise PermanentError(f"source_url: there is no image below {source.url}; endings: {', '.join(sorted(_READ))}")
    targets = output_names([image.name for image in images if not image.problem], params.output_format)
    progress = Progress() if ctx.checkpoint is None else msgspec.convert(ctx.checkpoint, Progress)
    progress.thumbnails = progress.thumbnails or _free_folder(targets.values())
    saved_at = time.monotonic()
    for number, image in enumerate(images, 1):
        if image.name <= progress.last:
            continue
        _one(ctx, params, source, image, output, targets.get(image.name, ""), progress)
        progress.last = image.name
        ctx.report_progress(100 * number / len(images), f"Processing image {number}/{len(images)}")
        if ctx.checkpoint_due or time.monotonic() - saved_at >= SAVE_EVERY_SECONDS:
            saved_at = time.monotonic()
            ctx.save_checkpoint(msgspec.to_builtins(progress))
    skipped = Counter(PurePosixPath(entry.name).suffix.lower() for entry in entries if not _is_wanted(entry))
    return ImageResult(
        output_url=output.url,
        thumbnails_url=output.child(progress.thumbnails).url if params.thumbnail is not None else None,
        images=len(images),
        processed=progress.processed,
        resized=progress.resized,
        failed=progress.failed,
        skipped=skipped.total(),
        skipped_endings=dict(skipped.most_common(_MOST_ENDINGS)),
        losses=progress.losses,
        bytes_read=progress.bytes_read,
        bytes_written=progress.bytes_written,
        failures=[{"name": failure.name, "reason": failure.reason} for failure in progress.failures],
    )


def _output(source: Place, params: ImageParams, allowed: Allowed) -> Place:
    if params.output_url is not None:
        output = locate(params.output_url.rstrip("/") or "/", "output_url", allowed)
    else:
        output = source.beside(f"{source.name}-processed")
    if source.contains(output) or output.contains(source):
        raise PermanentError(
            "output_url: must not lie in the source folder, nor around it, or its files would be read again"
        )
    return output


def _is_wanted(entry: Entry) -> bool:
    """An image by its ending, or a folder that may hold some and can't be looked into."""
    return entry.name.endswith("/") or PurePosixPath(entry.name).suffix.lower() in _READ


def output_names(names: Sequence[str], output_format: str) -> dict[str, str]:
    """Each image's name in the output folder.

    Where two would be one (a.png, a.gif), both keep their ending too; where that is taken as well, they get a number.
    """
    plain = {name: str(PurePosixPath(name).with_suffix(_ending(name, output_format))) for name in names}
    wanted = Counter(plain.values())
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    found = {name: target for name, target in plain.items() if wanted[target] == 1 and target not in folders}
    taken = {*found.values(), *folders}
    for name in sorted(plain.keys() - found.keys()):
        ending = _ending(name, output_format)
        target, number = f"{name}{ending}", 2
        while target in taken:
            target, number = f"{name}-{number}{ending}", number + 1
        found[name] = target
        taken.add(target)
    return found


def _free_folder(targets: Iterable[str]) -> str:
    """A name for the thumbnails' folder that none of the images uses."""
    taken = {PurePosixPath(target).parts[0] for target in targets}
    name, number = "thumbnails", 2
    while name in taken:
        name, number = f"thumbnails-{number}", number + 1
    return name


def _ending(name: str, output_format: str) -> str:
    suffix = PurePosixPath(name).suffix
    if output_format == "keep":
        return suffix if suffix.lower() in _KEPT else ".png"
    return suffix if _KEPT.get(suffix.lower()) == output_format else _ENDINGS[output_format]


def _one(
    ctx: SyncContext, params: ImageParams, source: Place, image: Entry, output: Place, target: str, progress: Progress
) -> None:
    """Process one file; a bad one is counted and named, and stops nothing."""
    try:
        data = _read(source, image)
        made = make(data, _KEPT[Path(target).suffix.lower()], params)
        written = _write(ctx, made.picture, output.child(target))
        if made.thumbnail is not None:
            written += _write(ctx, made.thumbnail, output.child(f"{progress.thumbnails}/{target}"))
    except (BadPictureError, UnusableNameError) as exc:
        ctx.log.warning("%s: %s", image.name, exc)
        progress.failed += 1
        if len(progress.failures) < _MOST_FAILURES:
            progress.failures.append(Failure(image.name, str(exc)))
        return
    for loss in made.losses:
        ctx.log.info("%s: %s", image.name, loss)
        progress.losses[loss] = progress.losses.get(loss, 0) + 1
    progress.processed += 1
    progress.resized += made.resized
    progress.bytes_read += len(data)
    progress.bytes_written += written


def _read(source: Place, image: Entry) -> bytes:
    if image.problem:
        raise BadPictureError(image.problem)
    try:
        with source.child(image.name).open() as stream:
            data = stream.read(_MOST_BYTES + 1)
    except PermanentError as exc:  # gone since the folder was listed, or it may not be read
        raise BadPictureError(str(exc)) from exc
    if len(data) > _MOST_BYTES:
        raise BadPictureError(f"larger than {_MOST_BYTES >> 20} MiB")
    return data


def _write(ctx: SyncContext, data: bytes, place: Place) -> int:
    with place.writing(ctx.work_dir) as path:
        path.write_bytes(data)
    return len(data)
