import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkloadStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKLOAD_STATUS_UNSPECIFIED: _ClassVar[WorkloadStatus]
    WORKLOAD_STATUS_PENDING: _ClassVar[WorkloadStatus]
    WORKLOAD_STATUS_SCHEDULED: _ClassVar[WorkloadStatus]
    WORKLOAD_STATUS_RUNNING: _ClassVar[WorkloadStatus]
    WORKLOAD_STATUS_PAUSED: _ClassVar[WorkloadStatus]
    WORKLOAD_STATUS_REDISTRIBUTING: _ClassVar[WorkloadStatus]
    WORKLOAD_STATUS_COMPLETED: _ClassVar[WorkloadStatus]
    WORKLOAD_STATUS_FAILED: _ClassVar[WorkloadStatus]
    WORKLOAD_STATUS_CANCELLED: _ClassVar[WorkloadStatus]

class MissedReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MISSED_REASON_UNSPECIFIED: _ClassVar[MissedReason]
    MISSED_REASON_UNKNOWN_ID: _ClassVar[MissedReason]
    MISSED_REASON_TOO_SLOW: _ClassVar[MissedReason]
    MISSED_REASON_LOST: _ClassVar[MissedReason]

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARN: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
WORKLOAD_STATUS_UNSPECIFIED: WorkloadStatus
WORKLOAD_STATUS_PENDING: WorkloadStatus
WORKLOAD_STATUS_SCHEDULED: WorkloadStatus
WORKLOAD_STATUS_RUNNING: WorkloadStatus
WORKLOAD_STATUS_PAUSED: WorkloadStatus
WORKLOAD_STATUS_REDISTRIBUTING: WorkloadStatus
WORKLOAD_STATUS_COMPLETED: WorkloadStatus
WORKLOAD_STATUS_FAILED: WorkloadStatus
WORKLOAD_STATUS_CANCELLED: WorkloadStatus
MISSED_REASON_UNSPECIFIED: MissedReason
MISSED_REASON_UNKNOWN_ID: MissedReason
MISSED_REASON_TOO_SLOW: MissedReason
MISSED_REASON_LOST: MissedReason
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARN: LogLevel
LOG_LEVEL_ERROR: LogLevel

class SubmitWorkloadRequest(_message.Message):
    __slots__ = ("workload_type", "input_params", "priority", "affinity_rules", "timeout_seconds", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    INPUT_PARAMS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_RULES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    workload_type: str
    input_params: _struct_pb2.Struct
    priority: int
    affinity_rules: AffinityRules
    timeout_seconds: int
    labels: _containers.ScalarMap[str, str]
    def __init__(self, workload_type: _Optional[str] = ..., input_params: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., priority: _Optional[int] = ..., affinity_rules: _Optional[_Union[AffinityRules, _Mapping]] = ..., timeout_seconds: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SubmitWorkloadResponse(_message.Message):
    __slots__ = ("workload_id", "status", "created_at", "estimated_start_time", "version")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_START_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    status: WorkloadStatus
    created_at: _timestamp_pb2.Timestamp
    estimated_start_time: _timestamp_pb2.Timestamp
    version: int
    def __init__(self, workload_id: _Optional[str] = ..., status: _Optional[_Union[WorkloadStatus, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., estimated_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class GetWorkloadRequest(_message.Message):
    __slots__ = ("workload_id",)
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    def __init__(self, workload_id: _Optional[str] = ...) -> None: ...

class GetWorkloadResponse(_message.Message):
    __slots__ = ("workload",)
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    workload: Workload
    def __init__(self, workload: _Optional[_Union[Workload, _Mapping]] = ...) -> None: ...

class Workload(_message.Message):
    __slots__ = ("workload_id", "customer_id", "workload_type", "status", "priority", "progress_percent", "worker_id", "input_params", "result_data", "error_message", "retry_count", "created_at", "scheduled_at", "started_at", "completed_at", "version", "pending_reason", "checkpoint_sequence", "generation", "timeout_seconds", "affinity_rules", "paused_at", "cancelled_at", "estimated_start_time", "estimated_completion_time", "progress_message", "replayed_from", "from_checkpoint", "labels", "error_fingerprint", "forked_from", "seconds_since_checkpoint")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_PARAMS_FIELD_NUMBER: _ClassVar[int]
    RESULT_DATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PENDING_REASON_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_RULES_FIELD_NUMBER: _ClassVar[int]
    PAUSED_AT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_AT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_START_TIME_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_COMPLETION_TIME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FROM_FIELD_NUMBER: _ClassVar[int]
    FROM_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    FORKED_FROM_FIELD_NUMBER: _ClassVar[int]
    SECONDS_SINCE_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    customer_id: str
    workload_type: str
    status: WorkloadStatus
    priority: int
    progress_percent: int
    worker_id: str
    input_params: _struct_pb2.Struct
    result_data: _struct_pb2.Struct
    error_message: str
    retry_count: int
    created_at: _timestamp_pb2.Timestamp
    scheduled_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    version: int
    pending_reason: str
    checkpoint_sequence: int
    generation: int
    timeout_seconds: int
    affinity_rules: AffinityRules
    paused_at: _timestamp_pb2.Timestamp
    cancelled_at: _timestamp_pb2.Timestamp
    estimated_start_time: _timestamp_pb2.Timestamp
    estimated_completion_time: _timestamp_pb2.Timestamp
    progress_message: str
    replayed_from: str
    from_checkpoint: int
    labels: _containers.ScalarMap[str, str]
    error_fingerprint: str
    forked_from: str
    seconds_since_checkpoint: float
    def __init__(self, workload_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., workload_type: _Optional[str] = ..., status: _Optional[_Union[WorkloadStatus, str]] = ..., priority: _Optional[int] = ..., progress_percent: _Optional[int] = ..., worker_id: _Optional[str] = ..., input_params: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., result_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., error_message: _Optional[str] = ..., retry_count: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ..., pending_reason: _Optional[str] = ..., checkpoint_sequence: _Optional[int] = ..., generation: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., affinity_rules: _Optional[_Union[AffinityRules, _Mapping]] = ..., paused_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., estimated_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., estimated_completion_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress_message: _Optional[str] = ..., replayed_from: _Optional[str] = ..., from_checkpoint: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., error_fingerprint: _Optional[str] = ..., forked_from: _Optional[str] = ..., seconds_since_checkpoint: _Optional[float] = ...) -> None: ...

class AffinityRules(_message.Message):
    __slots__ = ("hard_affinity", "soft_affinity", "anti_affinity")
    HARD_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    SOFT_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    ANTI_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    hard_affinity: AffinityConstraint
    soft_affinity: AffinityConstraint
    anti_affinity: AffinityConstraint
    def __init__(self, hard_affinity: _Optional[_Union[AffinityConstraint, _Mapping]] = ..., soft_affinity: _Optional[_Union[AffinityConstraint, _Mapping]] = ..., anti_affinity: _Optional[_Union[AffinityConstraint, _Mapping]] = ...) -> None: ...

class AffinityConstraint(_message.Message):
    __slots__ = ("worker_id", "worker_tags", "workload_types")
    class WorkerTagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_TAGS_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_TYPES_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    worker_tags: _containers.ScalarMap[str, str]
    workload_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker_id: _Optional[str] = ..., worker_tags: _Optional[_Mapping[str, str]] = ..., workload_types: _Optional[_Iterable[str]] = ...) -> None: ...

class ExplainWorkloadRequest(_message.Message):
    __slots__ = ("workload_id",)
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    def __init__(self, workload_id: _Optional[str] = ...) -> None: ...

class ExplainWorkloadResponse(_message.Message):
    __slots__ = ("workload_id", "status", "version", "explained_at", "reasons", "position", "estimated_start", "estimated_completion", "accuracy", "smallest_change")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_AT_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_START_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_COMPLETION_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    SMALLEST_CHANGE_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    status: WorkloadStatus
    version: int
    explained_at: _timestamp_pb2.Timestamp
    reasons: _containers.RepeatedCompositeFieldContainer[ExplainedReason]
    position: QueuePosition
    estimated_start: TimeEstimate
    estimated_completion: TimeEstimate
    accuracy: EstimateAccuracy
    smallest_change: str
    def __init__(self, workload_id: _Optional[str] = ..., status: _Optional[_Union[WorkloadStatus, str]] = ..., version: _Optional[int] = ..., explained_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reasons: _Optional[_Iterable[_Union[ExplainedReason, _Mapping]]] = ..., position: _Optional[_Union[QueuePosition, _Mapping]] = ..., estimated_start: _Optional[_Union[TimeEstimate, _Mapping]] = ..., estimated_completion: _Optional[_Union[TimeEstimate, _Mapping]] = ..., accuracy: _Optional[_Union[EstimateAccuracy, _Mapping]] = ..., smallest_change: _Optional[str] = ...) -> None: ...

class ExplainedReason(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    details: _struct_pb2.Struct
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class QueuePosition(_message.Message):
    __slots__ = ("ahead", "is_bounded")
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    IS_BOUNDED_FIELD_NUMBER: _ClassVar[int]
    ahead: int
    is_bounded: bool
    def __init__(self, ahead: _Optional[int] = ..., is_bounded: _Optional[bool] = ...) -> None: ...

class TimeEstimate(_message.Message):
    __slots__ = ("p50", "p90")
    P50_FIELD_NUMBER: _ClassVar[int]
    P90_FIELD_NUMBER: _ClassVar[int]
    p50: _timestamp_pb2.Timestamp
    p90: _timestamp_pb2.Timestamp
    def __init__(self, p50: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., p90: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EstimateAccuracy(_message.Message):
    __slots__ = ("samples", "p50", "p90")
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    P50_FIELD_NUMBER: _ClassVar[int]
    P90_FIELD_NUMBER: _ClassVar[int]
    samples: int
    p50: float
    p90: float
    def __init__(self, samples: _Optional[int] = ..., p50: _Optional[float] = ..., p90: _Optional[float] = ...) -> None: ...

class StreamWorkloadStatusRequest(_message.Message):
    __slots__ = ("workload_id",)
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    def __init__(self, workload_id: _Optional[str] = ...) -> None: ...

class WorkloadStatusUpdate(_message.Message):
    __slots__ = ("workload_id", "status", "progress_percent", "timestamp", "message", "version", "generation", "result_data", "error_message")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RESULT_DATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    status: WorkloadStatus
    progress_percent: int
    timestamp: _timestamp_pb2.Timestamp
    message: str
    version: int
    generation: int
    result_data: _struct_pb2.Struct
    error_message: str
    def __init__(self, workload_id: _Optional[str] = ..., status: _Optional[_Union[WorkloadStatus, str]] = ..., progress_percent: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., message: _Optional[str] = ..., version: _Optional[int] = ..., generation: _Optional[int] = ..., result_data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., error_message: _Optional[str] = ...) -> None: ...

class StreamWorkloadEventsRequest(_message.Message):
    __slots__ = ("last_event_id",)
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    last_event_id: str
    def __init__(self, last_event_id: _Optional[str] = ...) -> None: ...

class LiveEvent(_message.Message):
    __slots__ = ("id", "ready", "workload", "missed", "fleet", "customer")
    ID_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    id: str
    ready: FeedReady
    workload: WorkloadEvent
    missed: EventsMissed
    fleet: FleetChanged
    customer: CustomerChanged
    def __init__(self, id: _Optional[str] = ..., ready: _Optional[_Union[FeedReady, _Mapping]] = ..., workload: _Optional[_Union[WorkloadEvent, _Mapping]] = ..., missed: _Optional[_Union[EventsMissed, _Mapping]] = ..., fleet: _Optional[_Union[FleetChanged, _Mapping]] = ..., customer: _Optional[_Union[CustomerChanged, _Mapping]] = ...) -> None: ...

class FeedReady(_message.Message):
    __slots__ = ("resumed",)
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    resumed: bool
    def __init__(self, resumed: _Optional[bool] = ...) -> None: ...

class WorkloadEvent(_message.Message):
    __slots__ = ("workload_id", "customer_id", "workload_type", "status", "version", "progress_percent", "generation", "worker_id", "message", "timestamp")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    customer_id: str
    workload_type: str
    status: WorkloadStatus
    version: int
    progress_percent: int
    generation: int
    worker_id: str
    message: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, workload_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., workload_type: _Optional[str] = ..., status: _Optional[_Union[WorkloadStatus, str]] = ..., version: _Optional[int] = ..., progress_percent: _Optional[int] = ..., generation: _Optional[int] = ..., worker_id: _Optional[str] = ..., message: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EventsMissed(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: MissedReason
    def __init__(self, reason: _Optional[_Union[MissedReason, str]] = ...) -> None: ...

class FleetChanged(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CustomerChanged(_message.Message):
    __slots__ = ("customer_id",)
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    def __init__(self, customer_id: _Optional[str] = ...) -> None: ...

class ListWorkloadsRequest(_message.Message):
    __slots__ = ("status", "workload_type", "limit", "offset", "order_by", "order", "cursor", "labels", "created_after", "created_before", "q", "fingerprint")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    status: WorkloadStatus
    workload_type: str
    limit: int
    offset: int
    order_by: str
    order: str
    cursor: str
    labels: _containers.ScalarMap[str, str]
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    q: str
    fingerprint: str
    def __init__(self, status: _Optional[_Union[WorkloadStatus, str]] = ..., workload_type: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., order_by: _Optional[str] = ..., order: _Optional[str] = ..., cursor: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., q: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class ListWorkloadsResponse(_message.Message):
    __slots__ = ("workloads", "pagination")
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    workloads: _containers.RepeatedCompositeFieldContainer[Workload]
    pagination: Pagination
    def __init__(self, workloads: _Optional[_Iterable[_Union[Workload, _Mapping]]] = ..., pagination: _Optional[_Union[Pagination, _Mapping]] = ...) -> None: ...

class Pagination(_message.Message):
    __slots__ = ("total", "limit", "offset", "has_more", "next_cursor", "total_is_estimate", "reached_at")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    TOTAL_IS_ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    REACHED_AT_FIELD_NUMBER: _ClassVar[int]
    total: int
    limit: int
    offset: int
    has_more: bool
    next_cursor: str
    total_is_estimate: bool
    reached_at: _timestamp_pb2.Timestamp
    def __init__(self, total: _Optional[int] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., has_more: _Optional[bool] = ..., next_cursor: _Optional[str] = ..., total_is_estimate: _Optional[bool] = ..., reached_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CancelWorkloadRequest(_message.Message):
    __slots__ = ("workload_id", "reason")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    reason: str
    def __init__(self, workload_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelWorkloadResponse(_message.Message):
    __slots__ = ("workload_id", "status", "cancelled_at", "version")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    status: WorkloadStatus
    cancelled_at: _timestamp_pb2.Timestamp
    version: int
    def __init__(self, workload_id: _Optional[str] = ..., status: _Optional[_Union[WorkloadStatus, str]] = ..., cancelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class PauseWorkloadRequest(_message.Message):
    __slots__ = ("workload_id",)
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    def __init__(self, workload_id: _Optional[str] = ...) -> None: ...

class PauseWorkloadResponse(_message.Message):
    __slots__ = ("workload_id", "status", "paused_at", "checkpoint_sequence", "version")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_AT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    status: WorkloadStatus
    paused_at: _timestamp_pb2.Timestamp
    checkpoint_sequence: int
    version: int
    def __init__(self, workload_id: _Optional[str] = ..., status: _Optional[_Union[WorkloadStatus, str]] = ..., paused_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., checkpoint_sequence: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class ResumeWorkloadRequest(_message.Message):
    __slots__ = ("workload_id", "from_checkpoint")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    from_checkpoint: int
    def __init__(self, workload_id: _Optional[str] = ..., from_checkpoint: _Optional[int] = ...) -> None: ...

class ResumeWorkloadResponse(_message.Message):
    __slots__ = ("workload_id", "status", "checkpoint_sequence", "version")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    status: WorkloadStatus
    checkpoint_sequence: int
    version: int
    def __init__(self, workload_id: _Optional[str] = ..., status: _Optional[_Union[WorkloadStatus, str]] = ..., checkpoint_sequence: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class GetWorkloadLogsRequest(_message.Message):
    __slots__ = ("workload_id", "limit", "since", "until", "level", "order", "tail", "cursor", "q")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    limit: int
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    level: LogLevel
    order: str
    tail: int
    cursor: str
    q: str
    def __init__(self, workload_id: _Optional[str] = ..., limit: _Optional[int] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., level: _Optional[_Union[LogLevel, str]] = ..., order: _Optional[str] = ..., tail: _Optional[int] = ..., cursor: _Optional[str] = ..., q: _Optional[str] = ...) -> None: ...

class GetWorkloadLogsResponse(_message.Message):
    __slots__ = ("logs", "pagination")
    LOGS_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    logs: _containers.RepeatedCompositeFieldContainer[LogLine]
    pagination: Pagination
    def __init__(self, logs: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ..., pagination: _Optional[_Union[Pagination, _Mapping]] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("timestamp", "level", "message", "details", "attempt", "sequence")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    timestamp: _timestamp_pb2.Timestamp
    level: LogLevel
    message: str
    details: _struct_pb2.Struct
    attempt: int
    sequence: int
    def __init__(self, timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., level: _Optional[_Union[LogLevel, str]] = ..., message: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., attempt: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class SubmitWorkloadBatchRequest(_message.Message):
    __slots__ = ("workloads",)
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    workloads: _containers.RepeatedCompositeFieldContainer[SubmitWorkloadRequest]
    def __init__(self, workloads: _Optional[_Iterable[_Union[SubmitWorkloadRequest, _Mapping]]] = ...) -> None: ...

class SubmitWorkloadBatchResponse(_message.Message):
    __slots__ = ("results", "accepted", "rejected")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitWorkloadBatchResult]
    accepted: int
    rejected: int
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitWorkloadBatchResult, _Mapping]]] = ..., accepted: _Optional[int] = ..., rejected: _Optional[int] = ...) -> None: ...

class SubmitWorkloadBatchResult(_message.Message):
    __slots__ = ("index", "workload", "error")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    index: int
    workload: SubmitWorkloadResponse
    error: ItemError
    def __init__(self, index: _Optional[int] = ..., workload: _Optional[_Union[SubmitWorkloadResponse, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    details: _struct_pb2.Struct
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class CancelWorkloadBatchRequest(_message.Message):
    __slots__ = ("workload_ids", "filter", "reason")
    WORKLOAD_IDS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workload_ids: _containers.RepeatedScalarFieldContainer[str]
    filter: WorkloadFilter
    reason: str
    def __init__(self, workload_ids: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[WorkloadFilter, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class WorkloadFilter(_message.Message):
    __slots__ = ("status", "workload_type", "created_before", "created_after", "labels", "fingerprint")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    status: WorkloadStatus
    workload_type: str
    created_before: _timestamp_pb2.Timestamp
    created_after: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    fingerprint: str
    def __init__(self, status: _Optional[_Union[WorkloadStatus, str]] = ..., workload_type: _Optional[str] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class CancelWorkloadBatchResponse(_message.Message):
    __slots__ = ("results", "cancelled", "failed", "has_more")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CancelWorkloadBatchResult]
    cancelled: int
    failed: int
    has_more: bool
    def __init__(self, results: _Optional[_Iterable[_Union[CancelWorkloadBatchResult, _Mapping]]] = ..., cancelled: _Optional[int] = ..., failed: _Optional[int] = ..., has_more: _Optional[bool] = ...) -> None: ...

class CancelWorkloadBatchResult(_message.Message):
    __slots__ = ("workload_id", "cancelled", "error")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    cancelled: CancelWorkloadResponse
    error: ItemError
    def __init__(self, workload_id: _Optional[str] = ..., cancelled: _Optional[_Union[CancelWorkloadResponse, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class ReplayWorkloadRequest(_message.Message):
    __slots__ = ("workload_id", "input_params", "priority", "from_checkpoint")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_PARAMS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    FROM_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    input_params: _struct_pb2.Struct
    priority: int
    from_checkpoint: int
    def __init__(self, workload_id: _Optional[str] = ..., input_params: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., priority: _Optional[int] = ..., from_checkpoint: _Optional[int] = ...) -> None: ...

class ForkWorkloadRequest(_message.Message):
    __slots__ = ("workload_id", "input_params", "priority", "from_checkpoint")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_PARAMS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    FROM_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    input_params: _struct_pb2.Struct
    priority: int
    from_checkpoint: int
    def __init__(self, workload_id: _Optional[str] = ..., input_params: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., priority: _Optional[int] = ..., from_checkpoint: _Optional[int] = ...) -> None: ...

class ReplayWorkloadBatchRequest(_message.Message):
    __slots__ = ("filter", "priority", "limit", "cursor")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    filter: WorkloadFilter
    priority: int
    limit: int
    cursor: str
    def __init__(self, filter: _Optional[_Union[WorkloadFilter, _Mapping]] = ..., priority: _Optional[int] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ReplayWorkloadBatchResponse(_message.Message):
    __slots__ = ("results", "accepted", "rejected", "has_more", "next_cursor")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ReplayWorkloadBatchResult]
    accepted: int
    rejected: int
    has_more: bool
    next_cursor: str
    def __init__(self, results: _Optional[_Iterable[_Union[ReplayWorkloadBatchResult, _Mapping]]] = ..., accepted: _Optional[int] = ..., rejected: _Optional[int] = ..., has_more: _Optional[bool] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ReplayWorkloadBatchResult(_message.Message):
    __slots__ = ("replayed_from", "workload_id", "error")
    REPLAYED_FROM_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    replayed_from: str
    workload_id: str
    error: ItemError
    def __init__(self, replayed_from: _Optional[str] = ..., workload_id: _Optional[str] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class ListFailuresRequest(_message.Message):
    __slots__ = ("since", "until", "workload_type", "order_by", "limit")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    workload_type: str
    order_by: str
    limit: int
    def __init__(self, since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., workload_type: _Optional[str] = ..., order_by: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListFailuresResponse(_message.Message):
    __slots__ = ("failures", "has_more", "counted_since")
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    COUNTED_SINCE_FIELD_NUMBER: _ClassVar[int]
    failures: _containers.RepeatedCompositeFieldContainer[Failure]
    has_more: bool
    counted_since: _timestamp_pb2.Timestamp
    def __init__(self, failures: _Optional[_Iterable[_Union[Failure, _Mapping]]] = ..., has_more: _Optional[bool] = ..., counted_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("fingerprint", "message", "pattern", "count", "first_seen_at", "last_seen_at", "workload_types", "workload_ids")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_TYPES_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_IDS_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    message: str
    pattern: str
    count: int
    first_seen_at: _timestamp_pb2.Timestamp
    last_seen_at: _timestamp_pb2.Timestamp
    workload_types: _containers.RepeatedScalarFieldContainer[str]
    workload_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fingerprint: _Optional[str] = ..., message: _Optional[str] = ..., pattern: _Optional[str] = ..., count: _Optional[int] = ..., first_seen_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., workload_types: _Optional[_Iterable[str]] = ..., workload_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateWorkloadRequest(_message.Message):
    __slots__ = ("workload_id", "priority", "timeout_seconds", "affinity_rules", "version", "labels")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_RULES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    priority: int
    timeout_seconds: int
    affinity_rules: AffinityRules
    version: int
    labels: Labels
    def __init__(self, workload_id: _Optional[str] = ..., priority: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., affinity_rules: _Optional[_Union[AffinityRules, _Mapping]] = ..., version: _Optional[int] = ..., labels: _Optional[_Union[Labels, _Mapping]] = ...) -> None: ...

class Labels(_message.Message):
    __slots__ = ("entries",)
    class EntriesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.ScalarMap[str, str]
    def __init__(self, entries: _Optional[_Mapping[str, str]] = ...) -> None: ...

class UpdateWorkloadResponse(_message.Message):
    __slots__ = ("workload",)
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    workload: Workload
    def __init__(self, workload: _Optional[_Union[Workload, _Mapping]] = ...) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ("workload_id",)
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    def __init__(self, workload_id: _Optional[str] = ...) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("workload_id", "checkpoints")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    checkpoints: _containers.RepeatedCompositeFieldContainer[Checkpoint]
    def __init__(self, workload_id: _Optional[str] = ..., checkpoints: _Optional[_Iterable[_Union[Checkpoint, _Mapping]]] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("sequence", "attempt", "size_bytes", "encoding", "sha256", "progress_percent", "worker_id", "created_at", "pinned", "in_object_store")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    IN_OBJECT_STORE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    attempt: int
    size_bytes: int
    encoding: str
    sha256: str
    progress_percent: int
    worker_id: str
    created_at: _timestamp_pb2.Timestamp
    pinned: bool
    in_object_store: bool
    def __init__(self, sequence: _Optional[int] = ..., attempt: _Optional[int] = ..., size_bytes: _Optional[int] = ..., encoding: _Optional[str] = ..., sha256: _Optional[str] = ..., progress_percent: _Optional[int] = ..., worker_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pinned: _Optional[bool] = ..., in_object_store: _Optional[bool] = ...) -> None: ...

class PinCheckpointRequest(_message.Message):
    __slots__ = ("workload_id", "sequence")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    sequence: int
    def __init__(self, workload_id: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class PinCheckpointResponse(_message.Message):
    __slots__ = ("checkpoint",)
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    checkpoint: Checkpoint
    def __init__(self, checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ...) -> None: ...

class UnpinCheckpointRequest(_message.Message):
    __slots__ = ("workload_id", "sequence")
    WORKLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    workload_id: str
    sequence: int
    def __init__(self, workload_id: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class UnpinCheckpointResponse(_message.Message):
    __slots__ = ("checkpoint",)
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    checkpoint: Checkpoint
    def __init__(self, checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ...) -> None: ...

class ListWorkloadTypesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkloadTypesResponse(_message.Message):
    __slots__ = ("workload_types",)
    WORKLOAD_TYPES_FIELD_NUMBER: _ClassVar[int]
    workload_types: _containers.RepeatedCompositeFieldContainer[WorkloadType]
    def __init__(self, workload_types: _Optional[_Iterable[_Union[WorkloadType, _Mapping]]] = ...) -> None: ...

class WorkloadType(_message.Message):
    __slots__ = ("workload_type", "is_served", "input_schemas", "config_schema")
    WORKLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    IS_SERVED_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMAS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    workload_type: str
    is_served: bool
    input_schemas: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    config_schema: _struct_pb2.Struct
    def __init__(self, workload_type: _Optional[str] = ..., is_served: _Optional[bool] = ..., input_schemas: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ..., config_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...
