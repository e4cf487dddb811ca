"""What the methods of gRPC declare is what the proto says, and what REST declares of the same operation."""

from __future__ import annotations

from niyanta.server.grpc.batches import BatchMethods
from niyanta.server.grpc.checkpoints import CheckpointMethods
from niyanta.server.grpc.draining import DrainMethods
from niyanta.server.grpc.explaining import ExplainMethods
from niyanta.server.grpc.failures import FailureMethods
from niyanta.server.grpc.listing import ListMethods
from niyanta.server.grpc.live import LiveMethods
from niyanta.server.grpc.logs import LogMethods
from niyanta.server.grpc.methods import SERVICES, declared_by, methods_of
from niyanta.server.grpc.replays import ReplayMethods
from niyanta.server.grpc.streams import StreamMethods
from niyanta.server.grpc.types import TypeMethods
from niyanta.server.grpc.updating import UpdateMethods
from niyanta.server.grpc.workers import WorkerMethods
from niyanta.server.grpc.workloads import WorkloadMethods
from niyanta.server.rest import endpoints
from niyanta.server.rest.frame.operation import Access
from niyanta.server.rest.frame.operation import declared_by as rest_declared_by
from niyanta.wire.v1 import admin_service_pb2, workload_service_pb2

PARTS = (
    BatchMethods,
    CheckpointMethods,
    DrainMethods,
    ExplainMethods,
    ListMethods,
    LiveMethods,
    LogMethods,
    FailureMethods,
    ReplayMethods,
    StreamMethods,
    TypeMethods,
    UpdateMethods,
    WorkerMethods,
    WorkloadMethods,
)
DECLARED = {method.name: method for part in PARTS for method in declared_by(part)}
PROTOS = (workload_service_pb2.DESCRIPTOR, admin_service_pb2.DESCRIPTOR)
RPCS = {rpc.name: rpc for proto in PROTOS for service in proto.services_by_name.values() for rpc in service.methods}
GRPC_ONLY = {"StreamWorkloadStatus", "GetWorker"}


def test_each_rpc_is_declared_once_with_its_messages() -> None:
    assert sorted(method.name for part in PARTS for method in declared_by(part)) == sorted(RPCS)
    for name, rpc in RPCS.items():
        assert DECLARED[name].request.DESCRIPTOR is rpc.input_type, name
        assert DECLARED[name].answer.DESCRIPTOR is rpc.output_type, name
        assert DECLARED[name].service == rpc.containing_service.full_name, name
    assert {rpc.containing_service.full_name for rpc in RPCS.values()} == set(SERVICES)


def test_what_streams_in_the_proto_is_a_generator() -> None:
    for part in PARTS:
        for served in methods_of(part.__new__(part)):
            assert served.is_stream is RPCS[served.method.name].server_streaming, served.method.name


def test_what_can_go_wrong_over_rest_can_go_wrong_over_grpc() -> None:
    rest = {operation.operation_id: operation for part in endpoints.PARTS for operation in rest_declared_by(part)}
    for name, method in DECLARED.items():
        twin = rest.get(name[0].lower() + name[1:])
        assert (twin is None) is (name in GRPC_ONLY)
        if twin is not None:
            assert method.admin is (twin.access is Access.ADMIN), name
            assert set(twin.errors) <= set(method.errors), name
            assert method.body_limit is twin.body_limit, name
