"""What is alike in errors gets one fingerprint, and what isn't, different ones."""

from __future__ import annotations

import time

import pytest

from niyanta.domain.fingerprints import fingerprint, pattern_of


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("ValueError: frame 17 of 9,000 is broken", "ValueError: frame <n> of <n> is broken"),
        ("timed out after 30.5 s", "timed out after <n> s"),
        ("OSError: [Errno 5] Input/output error: '/a/1.mp4'", "OSError: [Errno <n>] Input/output error: '<path>'"),
        ("can't open /srv/videos/clip-17.mp4: gone", "can't open <path> gone"),
        ("can't open C:\\videos\\clip.mp4", "can't open <path>"),
        ("no route to 10.0.0.17:5432", "no route to <address>"),
        ("no route to [fe80::1]:80", "no route to <address>"),
        ("GET https://example.com/a?b=1 gave 503", "GET <address> gave <n>"),
        ("mail to someone@example.com bounced", "mail to <address> bounced"),
        ("order 3f1d9a52-91c2-4e5b-8f0e-2b1c0d9e8f7a failed", "order <id> failed"),
        ("no wl_01jb6z8y5m3q4r7s9t0v2w4x6y", "no <id>"),
        ("object at 0x7f93e41b6c10", "object at <id>"),
        ("KeyError: 'codec'", "KeyError: 'codec'"),
        ("12:34:56 too late\n  on 2025-10-27", "<n> too late on <n>-<n>-<n>"),
        ("decoded feedback", "decoded feedback"),
        ("", ""),
    ],
)
def test_what_differs_from_time_to_time_is_left_out(message: str, pattern: str) -> None:
    assert pattern_of(message) == pattern
    assert pattern_of(pattern) == pattern


def test_the_kind_of_error_and_its_words_count() -> None:
    names = {fingerprint(text) for text in ("ValueError: broken 1", "TypeError: broken 1", "ValueError: missing 1")}
    assert len(names) == 3
    assert fingerprint("ValueError: broken 1") == fingerprint("ValueError: broken 22")
    assert fingerprint("ValueError: broken 1") == "513472c278b172fb"


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "1" * 100_000, "a-" * 50_000, "/" * 100_000, "a1" * 50_000, ".@" * 50_000]
)
def test_a_long_message_takes_no_longer_than_its_beginning(text: str) -> None:
    began = time.process_time()
    fingerprint(text)
    assert time.process_time() - began < 0.05
