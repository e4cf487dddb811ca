"""The workload type ``image_processing``: a folder of images, file by file in the order of their names.

Doing a file again gives the same output under the same name, so the checkpoint needs only the last name that is done.
"""

from __future__ import annotations

import io
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from PIL import Image, ImageOps, UnidentifiedImageError

from niyanta.errors import PermanentError
from niyanta.examples.images.parameters import Failure, ImageParams, ImageResult, Progress
from niyanta.examples.storage import Place, locate
from niyanta.worker import SyncContext

__all__ = ["output_names", "process"]

_KEPT = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}
_READ = {*_KEPT, ".gif", ".bmp", ".tif", ".tiff"}
_ENDINGS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
# What a larger image unpacks to would break the workload's memory limit.
_MOST_PIXELS = 50_000_000
_MOST_BYTES = 128 << 20
_MOST_FAILURES = 100
_SAVE_EVERY_SECONDS = 1.0


def process(ctx: SyncContext, params: ImageParams) -> ImageResult:
    """Carry on after the last file that is done, or begin."""
    source = locate(params.source_url.rstrip("/"), "source_url")
    output = _output(source, params)
    entries = source.entries()
    names = [entry.name for entry in entries if Path(entry.name).suffix.lower() in _READ]
    if not names:
        raise PermanentError(f"source_url: there is no image below {source.url}; endings: {', '.join(sorted(_READ))}")
    targets = output_names(names, params.output_format)
    progress = Progress() if ctx.checkpoint is None else msgspec.convert(ctx.checkpoint, Progress)
    saved_at = time.monotonic()
    for number, name in enumerate(names, 1):
        if name <= progress.last:
            continue
        _one(ctx, params, source.child(name), output, targets[name], progress)
        progress.last = name
        ctx.report_progress(100 * number / len(names), f"Processing image {number}/{len(names)}")
        if ctx.checkpoint_due or time.monotonic() - saved_at >= _SAVE_EVERY_SECONDS:
            saved_at = time.monotonic()
            ctx.save_checkpoint(msgspec.to_builtins(progress))
    return ImageResult(
        output_url=output.url,
        images=len(names),
        processed=progress.processed,
        resized=progress.resized,
        failed=progress.failed,
        skipped=len(entries) - len(names),
        bytes_read=progress.bytes_read,
        bytes_written=progress.bytes_written,
        failures=[{"name": failure.name, "reason": failure.reason} for failure in progress.failures],
    )


def _output(source: Place, params: ImageParams) -> Place:
    if params.output_url is not None:
        output = locate(params.output_url.rstrip("/"), "output_url")
    else:
        output = source.beside(f"{source.name}-processed")
    if f"{output.url}/".startswith(f"{source.url}/"):
        raise PermanentError("output_url: must not lie in the source folder, or its files would be read again")
    return output


def output_names(names: Sequence[str], output_format: str) -> dict[str, str]:
    """Each image's name in the output folder; where two would be one (a.png, a.gif), both keep their ending too."""
    plain = {name: str(Path(name).with_suffix(_ending(name, output_format))) for name in names}
    wanted = Counter(plain.values())
    return {
        name: target if wanted[target] == 1 else f"{name}{_ending(name, output_format)}"
        for name, target in plain.items()
    }


def _ending(name: str, output_format: str) -> str:
    suffix = Path(name).suffix
    if output_format == "keep":
        return suffix if suffix.lower() in _KEPT else ".png"
    return suffix if _KEPT.get(suffix.lower()) == output_format else _ENDINGS[output_format]


def _one(ctx: SyncContext, params: ImageParams, file: Place, output: Place, target: str, progress: Progress) -> None:
    """Process one file; a broken one is counted and named, and stops nothing."""
    try:
        with file.open() as stream:
            data = stream.read(_MOST_BYTES + 1)
    except PermanentError as exc:  # gone since the folder was listed
        _fail(ctx, progress, file, exc)
        return
    try:
        if len(data) > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES >> 20} MiB")
        image, wanted = _decoded(data, params)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:  # Pillow's ways to say no
        _fail(ctx, progress, file, exc)
        return
    fitted = image.resize(wanted, Image.Resampling.LANCZOS) if image.size != wanted else image
    written = _write(ctx, fitted, output.child(target), params.quality)
    if params.thumbnail is not None:
        small = fitted.resize(_fit(fitted.size, params.thumbnail, params.thumbnail), Image.Resampling.LANCZOS)
        written += _write(ctx, small, output.child(f"thumbnails/{target}"), params.quality)
    progress.processed += 1
    progress.resized += image is not fitted
    progress.bytes_read += len(data)
    progress.bytes_written += written


def _fail(ctx: SyncContext, progress: Progress, file: Place, exc: Exception) -> None:
    reason = "no image that can be read" if isinstance(exc, UnidentifiedImageError) else str(exc)[:200]
    ctx.log.warning("%s: %s", file.url, reason)
    progress.failed += 1
    if len(progress.failures) < _MOST_FAILURES:
        progress.failures.append(Failure(file.name, reason))


def _decoded(data: bytes, params: ImageParams) -> tuple[Image.Image, tuple[int, int]]:
    """The picture the right way up, in a mode that every format takes, and the size that is wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image: Image.Image = Image.open(io.BytesIO(data))
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"{image.width}x{image.height} is too large; the limit is {_MOST_PIXELS:,} pixels")
        warnings.simplefilter("ignore")
        image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode not in ("RGB", "RGBA", "L"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image, _fit(image.size, params.max_width, params.max_height)


def _fit(size: tuple[int, int], max_width: int | None, max_height: int | None) -> tuple[int, int]:
    """The largest size of this shape within the limits; never larger than it is."""
    width, height = size
    scale = min(1.0, (max_width or width) / width, (max_height or height) / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _write(ctx: SyncContext, image: Image.Image, place: Place, quality: int) -> int:
    """Write in the format that the name's ending says; gives the bytes."""
    kind = _KEPT[Path(place.name).suffix.lower()]
    if kind == "jpeg" and image.mode == "RGBA":  # JPEG has no transparency: put it on white
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    with place.writing(ctx.work_dir) as path:
        image.save(path, kind, **({} if kind == "png" else {"quality": quality}))
        return path.stat().st_size
