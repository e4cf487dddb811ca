"""Checks that every relative link in the project's Markdown leads somewhere, headings included."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    return sorted(
        [*ROOT.glob("*.md"), *(page for name in ("docs", "examples", "sdk") for page in ROOT.glob(f"{name}/**/*.md"))]
    )


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, formed the way Git hosts form them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+\s+(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links() -> Iterator[str]:
    for page in pages():
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in _LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            goal = (page.parent / path).resolve() if path else page
            if not goal.exists():
                yield f"{page.relative_to(ROOT)}: {target}: there is no such file"
            elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
                yield f"{page.relative_to(ROOT)}: {target}: there is no such heading"


def main() -> int:
    broken = list(broken_links())
    for line in broken:
        print(line, file=sys.stderr)
    if not broken:
        print(f"Links of {len(pages())} pages lead somewhere.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
