"""What ``image_processing`` takes, gives and remembers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["Failure", "ImageParams", "ImageResult", "Progress"]

Pixels = Annotated[int, Meta(ge=1, le=16_384)]


class ImageParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Addresses are absolute paths that every worker sees, ``file:///…`` or ``s3://bucket/prefix``."""

    source_url: Annotated[str, Meta(min_length=1, max_length=2048, description="Folder; all below it is read.")]
    output_url: (
        Annotated[str, Meta(min_length=1, max_length=2048, description="Folder; beside the source when absent.")]
        | None
    ) = None
    max_width: Annotated[Pixels, Meta(description="Larger images are made smaller, in proportion.")] | None = None
    max_height: Annotated[Pixels, Meta(description="The same for the height.")] | None = None
    output_format: Annotated[
        Literal["keep", "jpeg", "png", "webp"], Meta(description="keep: GIF, BMP and TIFF become PNG.")
    ] = "keep"
    quality: Annotated[int, Meta(ge=1, le=100, description="Of JPEG and WebP.")] = 85
    thumbnail: Annotated[Pixels, Meta(description="Longest side of a thumbnail; none when absent.")] | None = None


class Failure(msgspec.Struct, array_like=True):
    """A picture that could not be processed, and why."""

    name: str
    reason: str


class Progress(msgspec.Struct):
    """The checkpoint: the last file that is done, and what was counted up to it."""

    last: str = ""
    processed: int = 0
    resized: int = 0
    failed: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    losses: dict[str, int] = {}
    """What isn't as it was, and in how many images."""
    thumbnails: str = ""
    """The folder of the thumbnails in the output."""
    failures: list[Failure] = []
    """The first hundred."""


class ImageResult(msgspec.Struct):
    """The workload's result: where everything lies, and what became of how many pictures."""

    output_url: str
    thumbnails_url: str | None
    images: int
    processed: int
    resized: int
    failed: int
    skipped: int
    """Files that don't end as an image does."""
    skipped_endings: dict[str, int]
    """How many of each ending; the twenty most frequent."""
    losses: dict[str, int]
    """What isn't as it was, and in how many images."""
    bytes_read: int
    bytes_written: int
    failures: list[dict[str, str]]
