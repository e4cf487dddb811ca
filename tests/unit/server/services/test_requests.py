"""The form in which idempotency keys compare submissions."""

from __future__ import annotations

import msgspec

from niyanta.server.services.requests import SubmitRequest


def test_a_submission_without_labels_has_the_form_of_earlier_releases() -> None:
    """Else a key that was used just before an upgrade would be refused after it."""
    text = b'{"workload_type":"count","input_params":{},"priority":null,"affinity_rules":null,"timeout_seconds":null}'
    request = msgspec.json.decode(b'{"workload_type":"count","input_params":{}}', type=SubmitRequest)
    assert msgspec.json.Encoder(order="deterministic").encode(request) == text
