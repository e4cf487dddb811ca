"""An index is asked for each locked version, and what it says of another version counts for nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from supply.index import Answers, ask
from supply.packages import locked, needed_by

_AT = datetime(2026, 11, 28, tzinfo=UTC)


def _answer(version: str, *weaknesses: dict[str, Any]) -> dict[str, Any]:
    return {"info": {"version": version}, "vulnerabilities": list(weaknesses)}


_SERVED = {
    "/pypi/exact/1.0/json": _answer("1.0", {"id": "PYSEC-1"}, {"id": "PYSEC-2", "withdrawn": "2026-01-01T00:00:00Z"}),
    "/pypi/exact/json": _answer("2.0"),
    "/pypi/newest/json": _answer("3.0", {"id": "GHSA-b"}, {"id": "GHSA-a"}),
    "/pypi/older/json": _answer("5.0"),
    "/pypi/sound/1.1/json": _answer("1.1"),
}


class _Index(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = _SERVED.get(self.path)
        self.send_response(500 if "broken" in self.path else 404 if found is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def index() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Index) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join()


def test_what_an_index_says_holds_for_the_version_that_it_says_it_of(index: str, tmp_path: Path) -> None:
    wanted = {"exact": {"1.0"}, "newest": {"3.0"}, "older": {"4.0"}, "sound": {"1.1"}, "unheard-of": {"1"}}
    ask(index, wanted, _AT).save(tmp_path / "answers.json")
    answers = Answers.load(tmp_path / "answers.json")
    assert answers.taken_at == _AT
    assert answers.affecting(wanted) == ["exact==1.0: PYSEC-1", "newest==3.0: GHSA-a, GHSA-b"]
    assert answers.unknown(wanted) == ["older==4.0", "unheard-of==1"]


def test_an_index_that_fails_is_no_index_that_knows_nothing(index: str) -> None:
    with pytest.raises(HTTPError):
        ask(index, {"broken": {"1.0"}})


def test_nothing_that_is_locked_has_a_weakness_that_the_index_knew() -> None:
    assert Answers.load().affecting(locked()) == []


def test_the_index_told_of_all_that_a_coordinator_and_a_worker_need() -> None:
    needed = needed_by(("server", "embedded", "cli", "pydantic", "otel"))
    versions = {name: locked()[name] for name in needed if name != "niyanta"}
    told = Answers.load()
    assert told.unknown(versions) == [], "make advisories INDEX=<root of the index>"
