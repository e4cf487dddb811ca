"""Writes the OpenAPI document from the declared operations."""

from __future__ import annotations

from scripts.openapi.generated import files

for page, text in files().items():
    page.write_text(text, encoding="utf-8")
