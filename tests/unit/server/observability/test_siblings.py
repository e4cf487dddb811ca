"""Metrics of several processes as one text."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from niyanta.server.member import Member
from niyanta.server.observability.gauges import Reading
from niyanta.server.observability.metrics import Metrics
from niyanta.server.observability.siblings import together
from niyanta.wire.changes import WorkloadChange


async def text_of(*customers: str) -> bytes:
    metrics = Metrics()
    for customer in customers:
        metrics.workload_changed(WorkloadChange(customer, "wl_1", 4, "COMPLETED", 1, "count", ran_seconds=2.0))
    return await metrics.scrape(Reading(is_leader=True, broker_connected=True, watchers=3))


async def test_each_series_has_its_process_and_nothing_else_changes() -> None:
    first, second = await text_of("cust_a"), await text_of("cust_a", "cust_b")
    found = together({1: first, 2: second})
    names = [family.name for family in text_string_to_metric_families(found.decode())]
    assert len(names) == len(set(names)), "a family comes once"
    for number, text in ((1, first), (2, second)):
        own = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
        }
        of_process = {
            (sample.name, *sorted((k, v) for k, v in sample.labels.items() if k != "process")): sample.value
            for family in text_string_to_metric_families(found.decode())
            for sample in family.samples
            if sample.labels["process"] == str(number)
        }
        assert of_process == own


def test_a_label_that_looks_like_another_place_is_left_alone() -> None:
    text = b'# HELP a A\n# TYPE a gauge\na{x="} {y= 1"} 2.0\na 3.0\n'
    found = b'# HELP a A\n# TYPE a gauge\na{process="7",x="} {y= 1"} 2.0\na{process="7"} 3.0\n'
    assert together({7: text}) == found


def test_what_one_alone_has_is_there_too() -> None:
    head = b"# HELP %s S\n# TYPE %s counter\n"
    first, second = head % (b"a", b"a") + b"a 1.0\n", head % (b"b", b"b") + b"b 2.0\n"
    assert together({1: first, 3: second}) == (
        head % (b"a", b"a") + b'a{process="1"} 1.0\n' + head % (b"b", b"b") + b'b{process="3"} 2.0\n'
    )
    assert together({}) == b""


def test_a_member_is_told_who_it_is_by_its_environment(tmp_path: Path) -> None:
    member = Member(number=2, of=4, folder=str(tmp_path))
    assert Member.from_environment(member.environment()) == member
    assert Member.from_environment({}) is None
    assert member.metrics_socket(1) != member.metrics_socket(2) != member.parent_socket
