"""The app as a whole: what it serves, what it needs, and what its parameters say of themselves."""

from __future__ import annotations

import subprocess
import sys
from importlib import util
from pathlib import Path

import jsonschema
import pytest

from niyanta import examples
from niyanta.domain.json_schema import Schema
from niyanta.domain.json_value import Json
from niyanta.errors import ConfigurationError
from niyanta.worker.handlers.app import load_app
from support.attempts import Service


def test_it_serves_all_of_them() -> None:
    assert set(load_app(["niyanta.examples:worker"]).handlers) == {
        "hello",
        "video_transcoding",
        "report_generation",
        "image_processing",
    }


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "find_spec", lambda name: None if name == "PIL" else util.find_spec(name))
    with pytest.raises(ConfigurationError, match=r"need pillow: pip install 'niyanta\[examples\]'"):
        examples.check_extra()


def test_an_agent_loads_none_of_the_libraries() -> None:
    code = "import sys, niyanta.examples; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"av", "PIL", "obstore"} & set(done.stdout.split())


def test_a_greeting_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    run = Service("hello", {"name": "you", "steps": 2}, tmp_path)
    assert run.until_done() == {"greeting": "Hello, you!", "attempt": 3, "began_at_step": 2}
    assert run.saved == {"done": 2}


def test_a_greeting_takes_what_that_of_a_new_worker_takes(tmp_path: Path) -> None:
    """So the body that `/docs` offers fits both."""
    subprocess.run([sys.executable, "-m", "niyanta.cli.main", "new", "hello"], cwd=tmp_path, check=True)
    written, bundled = load_app([f"{tmp_path}/hello.py:worker"]).handlers["hello"], examples.worker.handlers["hello"]
    inputs: list[dict[str, Json]] = [{}, {"name": "you", "steps": 3}]
    for params in inputs:
        assert Schema(written.input_schema).problems(params) == Schema(bundled.input_schema).problems(params) == []


def test_the_contract_s_example_fits_the_schema() -> None:
    schema = examples.worker.handlers["video_transcoding"].input_schema
    assert schema is not None
    validator = jsonschema.Draft202012Validator(schema)
    good = {"video_url": "s3://input/video123.mp4", "output_format": "mp4", "resolution": "1080p"}
    assert validator.is_valid(good)
    assert validator.is_valid({"video_url": "s3://input/video123.mp4"})
    for bad in (
        {**good, "resolution": "large"},
        {**good, "output_format": "avi"},
        {"output_format": "mp4"},
        {**good, "x": 1},
    ):
        assert not validator.is_valid(bad)
