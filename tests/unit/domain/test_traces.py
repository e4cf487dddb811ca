"""Trace contexts: what W3C Trace Context says of the header."""

from __future__ import annotations

import pytest

from niyanta.domain.traces import TraceContext, attempt_context, read_traceparent

_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_GOOD = f"00-{_TRACE}-{_SPAN}-01"


@pytest.mark.parametrize(
    ("header", "is_sampled"),
    [
        (_GOOD, True),
        (f"00-{_TRACE}-{_SPAN}-00", False),
        (f"00-{_TRACE}-{_SPAN}-03", True),
        (f"00-{_TRACE}-{_SPAN}-fe", False),
        (f"cc-{_TRACE}-{_SPAN}-01", True),
        (f"cc-{_TRACE}-{_SPAN}-01-what-comes-with-that-version", True),
    ],
)
def test_good_headers(header: str, is_sampled: bool) -> None:
    assert read_traceparent(header) == TraceContext(_TRACE, _SPAN, is_sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"ff-{_TRACE}-{_SPAN}-01",
        f"00-{_TRACE.upper()}-{_SPAN}-01",
        f"00-{'0' * 32}-{_SPAN}-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"00-{_TRACE[1:]}-{_SPAN}-01",
        f"00-{_TRACE}-{_SPAN}-1",
        f"{_GOOD}-more",
        f"{_GOOD}\n",
        f" {_GOOD}",
        f"cc-{_TRACE}-{_SPAN}-01.",
        f"cc-{_TRACE}-{_SPAN}-01-{'x' * 1000}",
        f"00-{_TRACE}-{_SPAN}-0\u0661",
    ],
)
def test_bad_headers_are_as_good_as_none(header: str) -> None:
    assert read_traceparent(header) is None


def test_of_several_headers_none_counts() -> None:
    assert read_traceparent() is None
    assert read_traceparent(_GOOD, _GOOD) is None


def test_what_is_written_is_read() -> None:
    for is_sampled in (True, False):
        context = TraceContext(_TRACE, _SPAN, is_sampled)
        assert read_traceparent(context.traceparent) == context


def test_each_attempt_has_a_span_of_its_own_in_the_trace() -> None:
    workload = TraceContext(_TRACE, _SPAN, True)
    first, second = (attempt_context(workload, "wl_1", generation) for generation in (1, 2))
    assert attempt_context(workload, "wl_1", 1) == first
    assert len({first.span_id, second.span_id, _SPAN, attempt_context(workload, "wl_2", 1).span_id}) == 4
    assert read_traceparent(second.traceparent) == second
