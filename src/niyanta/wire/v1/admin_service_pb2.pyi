import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from niyanta.wire.v1 import workload_service_pb2 as _workload_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkerStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_STATUS_UNSPECIFIED: _ClassVar[WorkerStatus]
    WORKER_STATUS_HEALTHY: _ClassVar[WorkerStatus]
    WORKER_STATUS_DRAINING: _ClassVar[WorkerStatus]
    WORKER_STATUS_DEAD: _ClassVar[WorkerStatus]

class StandingOrderKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STANDING_ORDER_KIND_UNSPECIFIED: _ClassVar[StandingOrderKind]
    STANDING_ORDER_KIND_DRAIN: _ClassVar[StandingOrderKind]
    STANDING_ORDER_KIND_REMOVE: _ClassVar[StandingOrderKind]

class DrainMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRAIN_MODE_UNSPECIFIED: _ClassVar[DrainMode]
    DRAIN_MODE_FINISH: _ClassVar[DrainMode]
    DRAIN_MODE_MOVE: _ClassVar[DrainMode]

class DrainOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRAIN_OUTCOME_UNSPECIFIED: _ClassVar[DrainOutcome]
    DRAIN_OUTCOME_RUNNING: _ClassVar[DrainOutcome]
    DRAIN_OUTCOME_MOVING: _ClassVar[DrainOutcome]
    DRAIN_OUTCOME_WAITING: _ClassVar[DrainOutcome]
    DRAIN_OUTCOME_MOVED: _ClassVar[DrainOutcome]
    DRAIN_OUTCOME_PAUSED: _ClassVar[DrainOutcome]
    DRAIN_OUTCOME_FINISHED: _ClassVar[DrainOutcome]
WORKER_STATUS_UNSPECIFIED: WorkerStatus
WORKER_STATUS_HEALTHY: WorkerStatus
WORKER_STATUS_DRAINING: WorkerStatus
WORKER_STATUS_DEAD: WorkerStatus
STANDING_ORDER_KIND_UNSPECIFIED: StandingOrderKind
STANDING_ORDER_KIND_DRAIN: StandingOrderKind
STANDING_ORDER_KIND_REMOVE: StandingOrderKind
DRAIN_MODE_UNSPECIFIED: DrainMode
DRAIN_MODE_FINISH: DrainMode
DRAIN_MODE_MOVE: DrainMode
DRAIN_OUTCOME_UNSPECIFIED: DrainOutcome
DRAIN_OUTCOME_RUNNING: DrainOutcome
DRAIN_OUTCOME_MOVING: DrainOutcome
DRAIN_OUTCOME_WAITING: DrainOutcome
DRAIN_OUTCOME_MOVED: DrainOutcome
DRAIN_OUTCOME_PAUSED: DrainOutcome
DRAIN_OUTCOME_FINISHED: DrainOutcome

class Worker(_message.Message):
    __slots__ = ("worker_id", "status", "capabilities", "input_forms", "capacity_total", "capacity_used", "tags", "last_heartbeat", "running_workloads", "version", "registered_at", "standing_order", "missing_walls", "customers")
    class InputFormsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    INPUT_FORMS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_TOTAL_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_USED_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_FIELD_NUMBER: _ClassVar[int]
    STANDING_ORDER_FIELD_NUMBER: _ClassVar[int]
    MISSING_WALLS_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    status: WorkerStatus
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    input_forms: _containers.ScalarMap[str, str]
    capacity_total: int
    capacity_used: int
    tags: _containers.ScalarMap[str, str]
    last_heartbeat: _timestamp_pb2.Timestamp
    running_workloads: _containers.RepeatedScalarFieldContainer[str]
    version: str
    registered_at: _timestamp_pb2.Timestamp
    standing_order: StandingOrder
    missing_walls: _containers.RepeatedScalarFieldContainer[str]
    customers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker_id: _Optional[str] = ..., status: _Optional[_Union[WorkerStatus, str]] = ..., capabilities: _Optional[_Iterable[str]] = ..., input_forms: _Optional[_Mapping[str, str]] = ..., capacity_total: _Optional[int] = ..., capacity_used: _Optional[int] = ..., tags: _Optional[_Mapping[str, str]] = ..., last_heartbeat: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., running_workloads: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., registered_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., standing_order: _Optional[_Union[StandingOrder, _Mapping]] = ..., missing_walls: _Optional[_Iterable[str]] = ..., customers: _Optional[_Iterable[str]] = ...) -> None: ...

class StandingOrder(_message.Message):
    __slots__ = ("kind", "given_by", "given_at", "mode")
    KIND_FIELD_NUMBER: _ClassVar[int]
    GIVEN_BY_FIELD_NUMBER: _ClassVar[int]
    GIVEN_AT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    kind: StandingOrderKind
    given_by: str
    given_at: _timestamp_pb2.Timestamp
    mode: DrainMode
    def __init__(self, kind: _Optional[_Union[StandingOrderKind, str]] = ..., given_by: _Optional[str] = ..., given_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mode: _Optional[_Union[DrainMode, str]] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("status", "limit", "offset", "cursor")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    status: WorkerStatus
    limit: int
    offset: int
    cursor: str
    def __init__(self, status: _Optional[_Union[WorkerStatus, str]] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "pagination")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    pagination: _workload_service_pb2.Pagination
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ..., pagination: _Optional[_Union[_workload_service_pb2.Pagination, _Mapping]] = ...) -> None: ...

class GetWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class GetWorkerResponse(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: Worker
    def __init__(self, worker: _Optional[_Union[Worker, _Mapping]] = ...) -> None: ...

class DrainWorkerRequest(_message.Message):
    __slots__ = ("worker_id", "mode")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    mode: DrainMode
    def __init__(self, worker_id: _Optional[str] = ..., mode: _Optional[_Union[DrainMode, str]] = ...) -> None: ...

class DrainWorkerResponse(_message.Message):
    __slots__ = ("worker_id", "status", "drain")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    status: WorkerStatus
    drain: WorkerDrain
    def __init__(self, worker_id: _Optional[str] = ..., status: _Optional[_Union[WorkerStatus, str]] = ..., drain: _Optional[_Union[WorkerDrain, _Mapping]] = ...) -> None: ...

class GetWorkerDrainRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class GetWorkerDrainResponse(_message.Message):
    __slots__ = ("drain",)
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    drain: WorkerDrain
    def __init__(self, drain: _Optional[_Union[WorkerDrain, _Mapping]] = ...) -> None: ...

class WorkerDrain(_message.Message):
    __slots__ = ("worker_id", "status", "mode", "given_by", "given_at", "remaining", "workloads")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    GIVEN_BY_FIELD_NUMBER: _ClassVar[int]
    GIVEN_AT_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    status: WorkerStatus
    mode: DrainMode
    given_by: str
    given_at: _timestamp_pb2.Timestamp
    remaining: int
    workloads: _containers.RepeatedCompositeFieldContainer[DrainedWorkload]
    def __init__(self, worker_id: _Optional[str] = ..., status: _Optional[_Union[WorkerStatus, str]] = ..., mode: _Optional[_Union[DrainMode, str]] = ..., given_by: _Optional[str] = ..., given_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., remaining: _Optional[int] = ..., workloads: _Optional[_Iterable[_Union[DrainedWorkload, _Mapping]]] = ...) -> None: ...

class DrainedWorkload(_message.Message):
    __slots__ = ("customer_id", "workload_id", "workload_type", "attempt", "outcome", "reason", "status", "moved_to", "checkpoint_sequence", "seconds_lost")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MOVED_TO_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LOST_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    workload_id: str
    workload_type: str
    attempt: int
    outcome: DrainOutcome
    reason: str
    status: _workload_service_pb2.WorkloadStatus
    moved_to: str
    checkpoint_sequence: int
    seconds_lost: float
    def __init__(self, customer_id: _Optional[str] = ..., workload_id: _Optional[str] = ..., workload_type: _Optional[str] = ..., attempt: _Optional[int] = ..., outcome: _Optional[_Union[DrainOutcome, str]] = ..., reason: _Optional[str] = ..., status: _Optional[_Union[_workload_service_pb2.WorkloadStatus, str]] = ..., moved_to: _Optional[str] = ..., checkpoint_sequence: _Optional[int] = ..., seconds_lost: _Optional[float] = ...) -> None: ...

class UndrainWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class UndrainWorkerResponse(_message.Message):
    __slots__ = ("worker_id", "status")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    status: WorkerStatus
    def __init__(self, worker_id: _Optional[str] = ..., status: _Optional[_Union[WorkerStatus, str]] = ...) -> None: ...

class RemoveWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class RemoveWorkerResponse(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class StreamAllEventsRequest(_message.Message):
    __slots__ = ("last_event_id",)
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    last_event_id: str
    def __init__(self, last_event_id: _Optional[str] = ...) -> None: ...
