"""Builds the site in ``build/site/html``: the pages of ``docs``, and references made from what the code says.

The REST reference is made from the OpenAPI document, those of the Python SDKs from their docstrings. A link that
leads nowhere, a page without a place and a docstring that can't be read fail it. What is built asks no other server
for anything: that is checked, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "site"
PAGES, HTML = BUILD / "pages", BUILD / "html"
UV = ROOT / ".venv" / "bin" / "uv"
TOOLS = ("mkdocs-material==9.8.1", "mkdocstrings[python]==1.0.8")

OTHERS = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "deploy/README.md": "deploy.md",
    "examples/README.md": "example-files.md",
    "sdk/go/README.md": "go.md",
}
REFERENCES = {
    "client": (
        "The Python client",
        (
            "niyanta.client.asynchronous.AsyncClient",
            "niyanta.client.workloads.AsyncWorkloads",
            "niyanta.client.configs.AsyncConfigs",
            "niyanta.client.customer.AsyncAccount",
            "niyanta.client.admin.AsyncAdmin",
            "niyanta.client.models",
            "niyanta.client.status.Status",
        ),
    ),
    "worker": (
        "The Python worker",
        (
            "niyanta.worker.worker.Worker",
            "niyanta.worker.handlers.context.Context",
            "niyanta.worker.handlers.context.SyncContext",
        ),
    ),
    "testing": ("Testing handlers", ("niyanta.testing",)),
    "errors": ("Errors", ("niyanta.errors",)),
}
NOTES = {"client": "`Client` has the same, without `await`."}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[^\n]*$)", re.MULTILINE | re.DOTALL)
_FETCHED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(https?:)?//", re.IGNORECASE)
_CANONICAL = re.compile(r"<link rel=\"?canonical[^>]*>")


def staged() -> dict[Path, str]:
    """Where each page and picture of the project is on the site."""
    pages = {ROOT / source: target for source, target in OTHERS.items()}
    for page in sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.png")]):
        pages[page] = page.relative_to(ROOT / "docs").as_posix()
    return pages


def moved(text: str, page: Path, pages: Mapping[Path, str]) -> str:
    """A page's text with its links as they are on the site; what leads to a file that isn't there is only named."""

    def link(found: re.Match[str]) -> str:
        label, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, _, anchor = target.partition("#")
        goal = pages.get((page.parent / path).resolve())
        if goal is None:
            return label
        way = os.path.relpath(goal, Path(pages[page]).parent)
        return f"[{label}]({way}{'#' + anchor if anchor else ''})"

    parts = _FENCE.split(text)
    return "".join(part if index % 2 else _LINK.sub(link, part) for index, part in enumerate(parts))


def rest_reference(document: Mapping[str, Any]) -> str:
    """Every operation: what it takes and what it answers."""
    lines = ["# REST", "", document["info"].get("description", ""), ""]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in ("get", "post", "put", "patch", "delete"):
                lines += _operation(document, method.upper(), path, operation)
    lines += ["## Shapes", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += [f"### {name}", "", schema.get("description", ""), "", *_fields(schema), ""]
    return "\n".join(lines)


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"## {operation['summary']}", "", f"`{method} {path}`", "", operation.get("description", ""), "")
    parameters = [_resolved(document, parameter) for parameter in operation.get("parameters", [])]
    if parameters:
        yield from ("| parameter | in | type | |", "| --- | --- | --- | --- |")
        for each in parameters:
            needed = " Required." if each.get("required") else ""
            words = each.get("description", "") + needed
            yield f"| `{each['name']}` | {each['in']} | {_type(each.get('schema', {}))} | {_cell(words)} |"
        yield ""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from (f"Takes {_type(content.get('schema', {}))}.", "")
        break
    yield from ("| answer | |", "| --- | --- |")
    for status, found in operation["responses"].items():
        answer = _resolved(document, found)
        shapes = {_type(content.get("schema", {})) for content in answer.get("content", {}).values()}
        yield f"| {status} | {_cell(answer.get('description', ''))} {', '.join(sorted(shapes))} |"
    yield ""


def _resolved(document: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in found:
        node: Any = document
        for part in found["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        found = node
    return found


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    properties = schema.get("properties")
    if not properties:
        yield f"{_type(schema)}"
        return
    needed = schema.get("required", [])
    yield from ("| field | type | |", "| --- | --- | --- |")
    for name, each in properties.items():
        words = each.get("description", "") + (" Required." if name in needed else "")
        yield f"| `{name}` | {_type(each)} | {_cell(words)} |"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[choice]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return kind if isinstance(kind, str) else " or ".join(kind)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def lay_out() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    pages = staged()
    for page, target in pages.items():
        place = PAGES / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            place.write_text(moved(page.read_text(encoding="utf-8"), page, pages), encoding="utf-8")
        else:
            shutil.copyfile(page, place)
    reference = PAGES / "reference"
    reference.mkdir()
    document = yaml.safe_load((ROOT / "api" / "openapi" / "niyanta-v1.yaml").read_text(encoding="utf-8"))
    (reference / "rest.md").write_text(rest_reference(document), encoding="utf-8")
    for name, (title, places) in REFERENCES.items():
        body = "\n\n".join(f"::: {place}" for place in places)
        (reference / f"{name}.md").write_text(f"# {title}\n\n{NOTES.get(name, '')}\n\n{body}\n", encoding="utf-8")


def build() -> None:
    first, *others = TOOLS
    tool = [str(UV), "tool", "run", "--quiet", "--from", first]
    for other in others:
        tool += ["--with", other]
    command = [*tool, "mkdocs", "build", "--strict", "--config-file", str(ROOT / "docs" / "mkdocs.yml")]
    # The theme's makers tell everybody of another program of theirs.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the site can't be built:\n{done.stdout}{done.stderr}")


def foreign() -> Iterator[str]:
    """What a browser would fetch from elsewhere."""
    for page in sorted(HTML.rglob("*.html")):
        text = _CANONICAL.sub("", page.read_text(encoding="utf-8"))
        yield from (f"{page.relative_to(HTML)}: {found[0]}" for found in _FETCHED.finditer(text))
    for sheet in sorted(HTML.rglob("*.css")):
        found = re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", sheet.read_text(encoding="utf-8"))
        yield from (f"{sheet.relative_to(HTML)}: {each}" for each in found)


def main() -> None:
    lay_out()
    build()
    if found := list(foreign()):
        sys.exit("the site asks others: " + "; ".join(found[:10]))
    if not (HTML / "search" / "search_index.json").exists():
        sys.exit("the site has no search")
    print(f"{len(list(HTML.rglob('*.html')))} pages are in {HTML.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
