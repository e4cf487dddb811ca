"""A coordinator of two processes on one port: served by both, killed, stopped, and kept from starting."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from niyanta.embedded.engine import free_port
from niyanta.wire.v1 import workload_service_pb2 as pb
from niyanta.wire.v1.workload_service_pb2_grpc import WorkloadServiceStub
from support.processes import Dev, until_gone

TWO = {"NIYANTA_PROCESSES": "2"}
SECONDS = 60


class Service:
    """``niyanta coordinator`` as its users run it, without what a test's own environment says."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.output = folder / f"coordinator-{free_port()}.log"
        own = {name: value for name, value in os.environ.items() if not name.startswith("NIYANTA_")}
        with self.output.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "niyanta.cli.main", "coordinator", "--processes", "2"],
                env=own | {"NIYANTA_BROKER_AUTH": "none"} | settings,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in lines_of(self.output) if line["event"] == event]

    def until_started(self) -> None:
        deadline = time.monotonic() + SECONDS
        while not self.said("coordinator.processes_started"):
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.02)

    def replicas(self) -> list[psutil.Process]:
        return replicas(self.process.pid)

    def end(self) -> None:
        children = self.replicas() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        for child in until_gone(children, 15):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]


def replicas(parent: int) -> list[psutil.Process]:
    """In the order in which they were started: at first that of their numbers."""
    return sorted(psutil.Process(parent).children(), key=lambda child: child.create_time())


@pytest.fixture
def settings(database_url: str, nats_url: str, subject_prefix: str) -> dict[str, str]:
    return {
        "NIYANTA_DATABASE_URL": database_url,
        "NIYANTA_NATS_URL": nats_url,
        "NIYANTA_SUBJECT_PREFIX": subject_prefix,
        "NIYANTA_PORT": str(free_port()),
        "NIYANTA_GRPC_PORT": str(free_port()),
        "NIYANTA_METRICS_ACCESS": "public",
    }


@pytest.fixture
def service(settings: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path, settings)
    try:
        found.until_started()
        yield found
    finally:
        found.end()


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    system = Dev(tmp_path / "data", TWO)
    system.start()
    try:
        yield system
    finally:
        system.end()


def get(port: str, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return str(response.read().decode())


def counted(metrics: str, series: str) -> dict[str, float]:
    """By the number of the process."""
    found: dict[str, float] = {}
    for labels, value in re.findall(rf"^{series}{{(.*)}} (\S+)$", metrics, re.MULTILINE):
        process = dict(re.findall(r'(\w+)="([^"]*)"', labels))["process"]
        found[process] = found.get(process, 0.0) + float(value)
    return found


def test_both_serve_both_ports_and_either_tells_the_metrics_of_both(
    service: Service, settings: dict[str, str]
) -> None:
    port = settings["NIYANTA_PORT"]
    for _ in range(60):  # each by a connection of its own
        assert json.loads(get(port, "/health"))["status"] == "healthy"
        with (
            grpc.insecure_channel(
                f"127.0.0.1:{settings['NIYANTA_GRPC_PORT']}", options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel,
            pytest.raises(grpc.RpcError) as refused,
        ):
            WorkloadServiceStub(channel).GetWorkload(pb.GetWorkloadRequest(workload_id="wl_1"), timeout=10)  # type: ignore[no-untyped-call]  # generated
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    for _ in range(8):
        metrics = get(port, "/metrics")
        requests = counted(metrics, "niyanta_http_request_duration_seconds_count")
        calls = counted(metrics, "niyanta_grpc_call_duration_seconds_count")
        assert set(requests) == set(calls) == {"1", "2"}
        assert sum(requests.values()) >= 60
        assert sum(calls.values()) == 60
        assert metrics.count("# TYPE niyanta_http_request_duration_seconds histogram") == 1
        most = re.findall(r'^niyanta_database_pool_connections{.*kind="most".*} (\S+)$', metrics, re.MULTILINE)
        assert sum(map(float, most)) == 18
        assert counted(metrics, "process_start_time_seconds").keys() == {"1", "2"}


@pytest.mark.parametrize("killed", ["who leads", "who doesn't"])
def test_a_process_that_is_killed_loses_nothing_and_is_started_again(dev: Dev, killed: str) -> None:
    parent = dev.pids()["coordinator"]
    log = dev.data_dir / "logs" / "coordinator.log"

    def said(event: str) -> list[dict[str, Any]]:
        return [line for line in lines_of(log) if line["event"] == event]

    until(lambda: len(said("coordinator.started")) == 2)
    until(lambda: bool(said("coordinator.processes_started")))
    assert len(said("election.won")) == 1
    first, second = replicas(parent)
    victim, rest = (first, second) if killed == "who leads" else (second, first)
    with dev.client() as client:
        acknowledged = []
        for number in range(60):
            acknowledged.append(client.workloads.submit("hello", {}, idempotency_key=f"w{number}").id)
            if number == 20:
                victim.send_signal(signal.SIGKILL)
        for workload_id in acknowledged:
            assert client.workloads.wait_for_completion(workload_id, 60).status == "COMPLETED"
        assert len({workload.id for workload in client.workloads.iterate()}) == len(acknowledged)
    until(lambda: len(said("coordinator.started")) == 3)
    (ended,) = said("coordinator.process_ended")
    assert ended["how"] == "SIGKILL"
    again = said("coordinator.started")[-1]["coordinator_id"]
    assert again == ended["coordinator_id"]
    assert again.endswith("-1" if killed == "who leads" else "-2")
    assert len(said("election.won")) == (2 if killed == "who leads" else 1)
    assert rest.is_running()
    assert len(replicas(parent)) == 2
    everything = dev.descendants()
    assert dev.terminate() == 0
    assert until_gone(everything, 10) == []


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_in_time(service: Service, number: signal.Signals) -> None:
    children = service.replicas()
    assert len(children) == 2
    service.process.send_signal(number)
    assert service.process.wait(timeout=20) == 0
    assert until_gone(children, 0) == []
    assert service.said("coordinator.process_ended") == []


def test_a_parent_that_is_killed_leaves_nobody_behind(service: Service) -> None:
    children = service.replicas()
    service.process.kill()
    service.process.wait()
    assert until_gone(children, 20) == []


def test_a_second_one_on_the_same_ports_is_refused(
    service: Service, settings: dict[str, str], tmp_path: Path
) -> None:
    for changed, port in (({}, "NIYANTA_PORT"), ({"NIYANTA_PORT": "0"}, "NIYANTA_GRPC_PORT")):
        second = Service(tmp_path, settings | changed)
        try:
            assert second.process.wait(timeout=SECONDS) == 1
        finally:
            second.end()
        assert second.output.read_text().count(f"cannot listen on 127.0.0.1:{settings[port]}: ") == 1
    assert json.loads(get(settings["NIYANTA_PORT"], "/ready"))["status"] == "ready"


@pytest.mark.parametrize("option", ["port", "grpc-port"])
def test_a_port_that_is_taken_is_said_once(settings: dict[str, str], tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        service = Service(tmp_path, settings | {f"NIYANTA_{option.upper().replace('-', '_')}": port})
        try:
            assert service.process.wait(timeout=SECONDS) == 1
        finally:
            service.end()
    (line,) = service.output.read_text().splitlines()
    assert f"cannot listen on 127.0.0.1:{port}: " in line
    assert f"Choose another with --{option}, " in line


def test_what_keeps_one_from_starting_is_said_once_and_ends_all(settings: dict[str, str], tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    service = Service(tmp_path, settings | {"NIYANTA_DATABASE_URL": away})
    try:
        assert service.process.wait(timeout=SECONDS) == 1
    finally:
        service.end()
    reason, end = (line for line in service.output.read_text().splitlines() if line.startswith("niyanta: "))
    assert "database" in reason
    assert "-1 could not start (exit status 1); it has said why" in end
