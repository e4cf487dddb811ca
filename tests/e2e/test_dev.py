"""``niyanta dev`` as its users run it: real processes, killed and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from niyanta import Client, WorkloadCancelledError, WorkloadFailedError
from niyanta.wire.v1 import workload_service_pb2 as pb
from niyanta.wire.v1.workload_service_pb2_grpc import WorkloadServiceStub
from support.processes import APPS, Dev, changes, until, until_gone


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    system = Dev(tmp_path / "data")
    system.start()
    yield system
    system.end()


def events(client: Client, workload_id: str) -> list[str]:
    return [event.event_type.removeprefix("workload.") for event in client.workloads.audit(workload_id)]


def test_every_kind_of_handler_runs_and_everything_stops(dev: Dev) -> None:
    with dev.client() as client:
        results = {
            kind: client.workloads.wait_for_completion(client.workloads.submit(kind, params).id, 30).result_data
            for kind, params in (("hello", {}), ("count", {"to": 3}), ("tool", {}))
        }
        assert results["hello"] == {"value": "hello"}
        assert results["count"] is not None
        assert results["count"]["number"] == 3
        assert results["tool"] == {"ok": 1}
        failing = client.workloads.submit("hopeless", {})
        with pytest.raises(WorkloadFailedError) as failed:
            client.workloads.wait_for_completion(failing.id, 30)
        assert failed.value.workload.error_message == "there is no such file"
        assert failed.value.workload.retry_count == 0
    children = dev.descendants()
    assert dev.terminate() == 0
    assert until_gone(children, 10) == []


def test_pause_resume_cancel_and_time_out(dev: Dev) -> None:
    with dev.client() as client:
        counting = client.workloads.submit("count", {"to": 60})
        until(client, counting.id, "RUNNING")
        paused = client.workloads.pause(counting.id)
        assert paused.status == "PAUSED"
        assert paused.checkpoint_sequence is not None
        assert paused.checkpoint_sequence >= 1
        client.workloads.resume(counting.id)
        done = client.workloads.wait_for_completion(counting.id, 30)
        assert done.result_data is not None
        assert done.result_data["begun_at"] == paused.checkpoint_sequence
        assert done.retry_count == 0
        assert {"paused", "resumed"} <= set(events(client, counting.id))

        stubborn = client.workloads.submit("stubborn", {})
        until(client, stubborn.id, "RUNNING")
        client.workloads.cancel(stubborn.id, "enough")
        with pytest.raises(WorkloadCancelledError):
            client.workloads.wait_for_completion(stubborn.id, 10)

        late = client.workloads.submit("stubborn", {}, timeout_seconds=1)
        again = until(client, late.id, "REDISTRIBUTING")
        assert again.error_message == "timed out after 1 s"
        client.workloads.cancel(late.id)


def test_a_killed_worker_s_workload_goes_on_from_its_checkpoint(dev: Dev) -> None:
    with dev.client() as client:
        counting = client.workloads.submit("count", {"to": 250})
        running = until(client, counting.id, "RUNNING")
        for running in changes(client, counting.id):
            if (running.checkpoint_sequence or 0) >= 10:
                break
        agent = psutil.Process(dev.pids()["worker-1"])
        family = agent.children(recursive=True)
        agent.kill()
        assert until_gone(family, 2.0) == []
        done = client.workloads.wait_for_completion(counting.id, 60)
        assert done.result_data is not None
        assert done.result_data["begun_at"] >= 10
        assert done.retry_count == 1
        assert "redistributed" in events(client, counting.id)
        # Started again, it is the same worker to the service, which needn't wait for the end of its lease.
        assert running.worker_id == done.worker_id
        assert [e.event_id for e in client.workloads.audit(counting.id)] == list(
            range(1, len(client.workloads.audit(counting.id)) + 1)
        )


def test_a_killed_system_has_lost_nothing_when_it_starts_again(dev: Dev) -> None:
    with dev.client() as client:
        ids = [client.workloads.submit("count", {"to": 40}).id for _ in range(8)]
    children = dev.descendants()
    assert dev.process is not None
    os.killpg(dev.process.pid, signal.SIGKILL)
    dev.process.wait()
    assert until_gone(children, 60) == []
    dev.start()
    with dev.client() as client:
        for workload_id in ids:
            assert client.workloads.wait_for_completion(workload_id, 60).status == "COMPLETED"


def test_a_second_one_on_the_same_directory_is_refused(dev: Dev) -> None:
    second = subprocess.run(
        [
            *(sys.executable, "-m", "niyanta.cli.main", "dev", "--port", "0"),
            *("--data-dir", str(dev.data_dir), "--app", "counting:worker"),
        ],
        cwd=APPS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "is in use by process" in second.stderr


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = subprocess.run(
            [
                *(sys.executable, "-m", "niyanta.cli.main", "dev", "--port", "0", "--grpc-port", port),
                *("--data-dir", str(tmp_path / "d"), "--app", "counting:worker"),
            ],
            cwd=APPS,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert run.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "d").exists()


def test_a_signal_while_it_starts_stops_it_cleanly(tmp_path: Path) -> None:
    dev = Dev(tmp_path / "data")
    dev.launch()
    assert dev.process is not None
    deadline = time.monotonic() + 60
    while not (tmp_path / "data" / "postgres").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = dev.descendants()
    assert dev.terminate() == 0
    assert until_gone(children, 10) == []


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("no_such_module:worker", "can't be imported"),
        ("counting:nothing", "no niyanta.Worker"),
        ("x", "module:worker"),
    ],
)
def test_an_app_that_can_t_work_is_refused_before_anything_starts(tmp_path: Path, app: str, says: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "niyanta.cli.main", "dev", "--data-dir", str(tmp_path / "d"), "--app", app],
        cwd=APPS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "d").exists()


def test_grpc_listens_where_the_credentials_say_and_tells_what_it_offers(dev: Dev) -> None:
    found = json.loads((dev.data_dir / "credentials.json").read_text())
    with grpc.insecure_channel(found["grpc_target"]) as channel:
        request = pb.SubmitWorkloadRequest(workload_type="hello")
        request.input_params.SetInParent()
        who = [("authorization", f"Bearer {found['api_key']}")]
        service = WorkloadServiceStub(channel)  # type: ignore[no-untyped-call] # generated without types
        submitted = service.SubmitWorkload(request, metadata=who, timeout=10)
        watched = pb.StreamWorkloadStatusRequest(workload_id=submitted.workload_id)
        *_, last = service.StreamWorkloadStatus(watched, metadata=who, timeout=30)
        assert last.status == pb.WORKLOAD_STATUS_COMPLETED
        assert dict(last.result_data) == {"value": "hello"}
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked, timeout=10)
        assert "niyanta.v1.WorkloadService" in {one.name for one in answer.list_services_response.service}
    assert dev.terminate() == 0


def _shown(dev: Dev, text: str, seconds: float = 60.0) -> None:
    """Wait until it is on the terminal."""
    deadline = time.monotonic() + seconds
    while text not in dev.output.read_text():
        assert time.monotonic() < deadline, dev.output.read_text()
        time.sleep(0.02)


def test_whoever_finds_the_credentials_can_submit_at_once(tmp_path: Path) -> None:
    dev = Dev(tmp_path / "data")
    path = dev.data_dir / "credentials.json"
    keys = []
    for _ in range(2):  # the second start finds what the first has left
        dev.launch()
        assert dev.process is not None
        assert not path.exists()
        deadline = time.monotonic() + 60
        while not path.exists():
            assert dev.process.poll() is None, dev.output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        with dev.client() as client:
            assert client.workloads.submit("hello", {}).status == "PENDING"
            keys.append(json.loads(path.read_text())["api_key"])
            (worker,) = Client(json.loads(path.read_text())["admin_api_key"], client_url(dev)).admin.workers(
                status="HEALTHY"
            )
            assert "hello" in worker.capabilities
        assert path.stat().st_mode & 0o077 == 0
        assert dev.terminate() == 0
        assert not path.exists()
    assert keys[0] == keys[1]


def client_url(dev: Dev) -> str:
    return str(json.loads((dev.data_dir / "credentials.json").read_text())["base_url"])


def test_it_says_where_everything_is_and_what_handlers_say(dev: Dev) -> None:
    said = dev.output.read_text()
    assert f"{client_url(dev)}/docs" in said
    assert "count" in said.partition("serves")[2].splitlines()[0]
    with dev.client() as client:
        counting = client.workloads.submit("count", {"to": 3})
        client.workloads.wait_for_completion(counting.id, 30)
        failing = client.workloads.submit("hopeless", {})
        with pytest.raises(WorkloadFailedError):
            client.workloads.wait_for_completion(failing.id, 30)
        logged = [line.message for line in client.workloads.iterate_logs(counting.id)]
    for message in logged:
        _shown(dev, message)
    lines = dev.output.read_text().splitlines()
    assert [line for line in lines if line.startswith(counting.id)] == list(
        dict.fromkeys(line for line in lines if line.startswith(counting.id))
    )
    _shown(dev, "there is no such file")
    assert any(line.startswith(failing.id) and "ERROR" in line for line in dev.output.read_text().splitlines())


def test_its_programs_log_json_and_raise_no_alarm(dev: Dev) -> None:
    """A line for each attempt's start and end, and nothing that isn't one JSON object a line."""
    with dev.client() as client:
        ids = []
        for kind, status in (("hello", "COMPLETED"), ("hopeless", "FAILED")):
            ids.append(client.workloads.submit(kind, {}).id)
            until(client, ids[-1], status)
    assert dev.terminate() == 0
    logs = {name: _logged(dev, name) for name in ("coordinator", "worker-1")}
    for name, lines in logs.items():
        assert {line["level"] for line in lines} <= {"info", "debug"}, (name, lines)
        assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines), name
    ends = {line["workload_id"]: line for line in logs["worker-1"] if line["event"] == "attempt.ended"}
    starts = [line for line in logs["worker-1"] if line["event"] == "attempt.started"]
    assert [line["workload_id"] for line in starts] == ids
    assert {(line["workload_type"], line["generation"]) for line in starts} == {("hello", 1), ("hopeless", 1)}
    assert [ends[workload_id]["outcome"] for workload_id in ids] == ["completed", "failed"]
    assert all(0 < line["seconds"] < 60 for line in ends.values())


def _logged(dev: Dev, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (dev.data_dir / "logs" / f"{name}.log").read_text().splitlines()]


def test_who_is_who_is_on_record_while_it_runs(dev: Dev) -> None:
    assert dev.process is not None
    pids = dev.pids()
    assert set(pids) == {"dev", "coordinator", "worker-1", "postgres", "nats"}
    assert pids["dev"] == dev.process.pid
    assert set(pids.values()) - {dev.process.pid} <= {child.pid for child in dev.descendants()}
    psutil.Process(pids["nats"]).kill()
    _shown(dev, "nats ended (")
    deadline = time.monotonic() + 30
    while dev.pids().get("nats") in (None, pids["nats"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert dev.terminate() == 0
    assert not (dev.data_dir / "processes.json").exists()


_APP = """
from niyanta import Context, Worker

worker = Worker(capacity=2)


@worker.workload("answer")
def answer(ctx: Context) -> int:
    return 1
"""


def test_a_change_of_the_source_starts_the_workers_again(tmp_path: Path) -> None:
    source = tmp_path / "answering.py"
    source.write_text(_APP)
    dev = Dev(tmp_path / "data", app="answering:worker", folder=tmp_path, options=("--reload",))
    dev.start()
    try:
        with dev.client() as client:

            def answer() -> object:
                done = client.workloads.wait_for_completion(client.workloads.submit("answer", {}).id, 60)
                assert done.result_data is not None
                return done.result_data["value"]

            assert answer() == 1
            source.write_text(_APP.replace("return 1", "return 2"))
            _shown(dev, "answering.py changed: starting new workers")
            deadline = time.monotonic() + 60
            while (found := answer()) != 2:  # until then the old worker serves, without a gap
                assert found == 1
                assert time.monotonic() < deadline
            source.write_text(_APP.replace("return 1", "return ("))
            _shown(dev, "'(' was never closed")
            _shown(dev, "the workers from before the change go on")
            assert answer() == 2
            source.write_text(_APP.replace("return 1", "return 3"))
            while answer() != 3:
                assert time.monotonic() < deadline + 60
        children = dev.descendants()
        assert dev.terminate() == 0
        assert until_gone(children, 10) == []
    finally:
        dev.end()
