"""The contract's examples, by operation: ``body`` of the request, ``answer`` of the success, others by status."""

from __future__ import annotations

from typing import Any

__all__ = ["EXAMPLES"]

_AT = "2025-10-27T12:{}.000Z".format

_WORKLOAD = {
    "workload_id": "wl_abc123",
    "customer_id": "cust_abc123",
    "workload_type": "video_transcoding",
    "status": "RUNNING",
    "priority": 10,
    "progress_percent": 45,
    "worker_id": "worker-5",
    "input_params": {"video_url": "s3://input/video123.mp4"},
    "result_data": None,
    "error_message": None,
    "retry_count": 0,
    "created_at": _AT("34:56"),
    "scheduled_at": _AT("35:00"),
    "started_at": _AT("35:10"),
    "completed_at": None,
    "estimated_start_time": None,
    "estimated_completion_time": "2025-10-27T13:10:00.000Z",
    "version": 9,
    "generation": 1,
    "checkpoint_sequence": 5,
    "timeout_seconds": 3600,
    "affinity_rules": {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}},
    "pending_reason": None,
    "progress_message": "Processing frame 4500/10000",
}

_ROW = {
    "workload_id": "wl_abc123",
    "workload_type": "video_transcoding",
    "status": "RUNNING",
    "priority": 50,
    "progress_percent": 45,
    "worker_id": "worker-5",
    "retry_count": 0,
    "created_at": _AT("34:56"),
    "started_at": _AT("35:10"),
    "completed_at": None,
    "version": 9,
}

_SUBMISSION = {
    "workload_type": "video_transcoding",
    "input_params": {
        "video_url": "s3://input/video123.mp4",
        "output_format": "mp4",
        "resolution": "1080p",
    },
    "priority": 10,
    "affinity_rules": {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}},
    "timeout_seconds": 3600,
}

_CONFIG_REQUEST = {
    "workload_type": "video_transcoding",
    "description": "Transcode videos to various formats",
    "config_json": {"default_codec": "h264", "default_resolution": "1080p"},
    "resource_limits": {"cpu_cores": 2, "memory_mb": 2048, "disk_mb": 10240},
    "checkpoint_interval_sec": 300,
    "max_retries": 3,
    "timeout_seconds": 7200,
}

_CONFIG = {
    "config_id": "wlcfg_xyz789",
    **_CONFIG_REQUEST,
    "input_schema": None,
    "created_at": _AT("00:00"),
    "updated_at": _AT("00:00"),
}

_READY = {
    "status": "ready",
    "dependencies": {"database": "connected", "broker": "connected", "leader_elected": True},
}


def _event(number: int, name: str, at: str, actor: tuple[str, str], **details: object) -> dict[str, Any]:
    return {
        "event_id": number,
        "event_type": f"workload.{name}",
        "timestamp": at,
        "actor_type": actor[0],
        "actor_id": actor[1],
        "details": details,
    }


_AUDIT = [
    _event(1, "created", _AT("34:56"), ("user", "key_789"), **{"from": None, "to": "PENDING"}, attempt=0),
    _event(
        2,
        "scheduled",
        _AT("35:00"),
        ("coordinator", "coordinator-1"),
        **{"from": "PENDING", "to": "SCHEDULED"},
        attempt=1,
        worker_id="worker-5",
    ),
    _event(3, "started", _AT("35:10"), ("worker", "worker-5"), **{"from": "SCHEDULED", "to": "RUNNING"}, attempt=1),
]

_WORKLOAD_EXAMPLES: dict[str, dict[str, Any]] = {
    "submitWorkload": {
        "body": _SUBMISSION,
        "answer": {
            "workload_id": "wl_abc123",
            "status": "PENDING",
            "created_at": _AT("34:56"),
            "estimated_start_time": _AT("35:30"),
            "version": 1,
        },
    },
    "getWorkload": {"answer": _WORKLOAD},
    "listWorkloads": {
        "answer": {
            "workloads": [
                _ROW,
                _ROW
                | {
                    "workload_id": "wl_def456",
                    "workload_type": "report_generation",
                    "priority": 30,
                    "progress_percent": 80,
                    "created_at": "2025-10-27T11:20:00.000Z",
                    "started_at": "2025-10-27T11:21:00.000Z",
                },
            ],
            "pagination": {"has_more": True, "next_cursor": "eyJpZCI6Ind", "total": 156, "limit": 20, "offset": 0},
        }
    },
    "cancelWorkload": {
        "body": {"reason": "User requested cancellation"},
        "answer": {"workload_id": "wl_abc123", "status": "CANCELLED", "cancelled_at": _AT("45:00"), "version": 10},
    },
    "pauseWorkload": {
        "answer": {
            "workload_id": "wl_abc123",
            "status": "PAUSED",
            "paused_at": _AT("50:00"),
            "checkpoint_sequence": 5,
            "version": 11,
        },
    },
    "resumeWorkload": {
        "answer": {"workload_id": "wl_abc123", "status": "PENDING", "checkpoint_sequence": 5, "version": 12},
    },
    "getWorkloadLogs": {
        "answer": {
            "workload_id": "wl_abc123",
            "logs": [
                {
                    "timestamp": _AT("35:15"),
                    "level": "INFO",
                    "message": "Starting video transcoding",
                    "details": {},
                    "attempt": 1,
                    "sequence": 2,
                },
                {
                    "timestamp": _AT("36:00"),
                    "level": "INFO",
                    "message": "Processed 1000/10000 frames",
                    "details": {"progress_percent": 10},
                    "attempt": 1,
                    "sequence": 3,
                },
            ],
            "has_more": False,
            "pagination": {"has_more": False, "next_cursor": None},
        },
        "text/plain": """\
2025-10-27T12:35:15.000Z INFO  Starting video transcoding
2025-10-27T12:36:00.000Z INFO  Processed 1000/10000 frames {"progress_percent":10}
""",
    },
    "getWorkloadAudit": {
        "answer": {
            "workload_id": "wl_abc123",
            "events": _AUDIT,
            "pagination": {"has_more": False, "next_cursor": None},
        }
    },
}

_PROBE_EXAMPLES: dict[str, dict[str, Any]] = {
    f"{name}{suffix}": example
    for suffix in ("", "AtRoot")
    for name, example in (
        ("getHealth", {"answer": {"status": "healthy", "timestamp": _AT("56:00")}}),
        (
            "getReadiness",
            {
                "answer": _READY,
                "503": {
                    "status": "not_ready",
                    "dependencies": {"database": "connected", "broker": "disconnected", "leader_elected": True},
                },
            },
        ),
    )
}

_SUBMITTED = _WORKLOAD_EXAMPLES["submitWorkload"]["answer"]

_BATCH_EXAMPLES: dict[str, dict[str, Any]] = {
    "submitWorkloadBatch": {
        "body": {
            "workloads": [
                _SUBMISSION,
                {"workload_type": "invalid_type", "input_params": {}},
            ]
        },
        "answer": {
            "results": [
                {"index": 0, **_SUBMITTED},
                {
                    "index": 1,
                    "error": {
                        "code": "INVALID_INPUT",
                        "message": "Workload type 'invalid_type' is not supported",
                        "details": {
                            "field": "workload_type",
                            "supported_types": ["report_generation", "video_transcoding"],
                        },
                    },
                },
            ],
            "accepted": 1,
            "rejected": 1,
        },
    },
    "cancelWorkloadBatch": {
        "body": {
            "filter": {"status": "PENDING", "workload_type": "video_transcoding"},
            "reason": "User requested cancellation",
        },
        "answer": {
            "results": [_WORKLOAD_EXAMPLES["cancelWorkload"]["answer"]],
            "cancelled": 1,
            "failed": 0,
            "has_more": False,
        },
    },
}

_LIMITS = {
    "max_concurrent_workloads": 500,
    "max_queue_depth": 2000,
    "rate_limit_per_sec": 50,
    "burst": 200,
}

_CUSTOMER = {
    "customer_id": "cust_abc123",
    "name": "Acme Corp",
    "tier": "premium",
    "status": "active",
    "limits": _LIMITS,
    "created_at": "2024-01-15T09:00:00.000Z",
}

_ONE_PAGE = {"has_more": False, "next_cursor": None, "total": 1, "limit": 50, "offset": 0}

_CONFIG_EXAMPLES: dict[str, dict[str, Any]] = {
    "createWorkloadConfig": {
        "body": _CONFIG_REQUEST,
        "answer": {
            "config_id": "wlcfg_xyz789",
            "workload_type": "video_transcoding",
            "created_at": _AT("00:00"),
        },
    },
    "listWorkloadConfigs": {"answer": {"configs": [_CONFIG], "pagination": _ONE_PAGE}},
    "getWorkloadConfig": {"answer": _CONFIG},
    "updateWorkloadConfig": {"body": {"max_retries": 5}, "answer": {**_CONFIG, "max_retries": 5}},
}

_CUSTOMER_EXAMPLES: dict[str, dict[str, Any]] = {
    "getCustomer": {
        "answer": {
            **_CUSTOMER,
            "usage": {"current_running_workloads": 45, "current_queue_depth": 12, "workloads_today": 234},
        }
    },
    "getCustomerStats": {
        "answer": {
            "start_date": "2025-10-01",
            "end_date": "2025-10-27",
            "summary": {
                "total_workloads": 5432,
                "completed_workloads": 5123,
                "failed_workloads": 234,
                "cancelled_workloads": 75,
                "total_execution_hours": 1234.5,
            },
            "by_workload_type": [
                {
                    "workload_type": "video_transcoding",
                    "count": 3210,
                    "avg_duration_seconds": 1800,
                    "failure_rate": 0.05,
                },
                {
                    "workload_type": "report_generation",
                    "count": 2222,
                    "avg_duration_seconds": 600,
                    "failure_rate": 0.02,
                },
            ],
        }
    },
}

_KEY = {
    "key_id": "key_abc123",
    "customer_id": "cust_abc123",
    "name": "build server",
    "role": "customer",
    "created_at": _AT("00:00"),
    "expires_at": "2035-10-27T12:00:00.000Z",
}

_ADMIN_EXAMPLES: dict[str, dict[str, Any]] = {
    "createCustomer": {
        "body": {
            "name": "Acme Corp",
            "customer_id": "cust_abc123",
            "tier": "premium",
            "limits": {"max_queue_depth": 2000},
        },
        "answer": _CUSTOMER,
    },
    "listCustomers": {"answer": {"customers": [_CUSTOMER], "pagination": _ONE_PAGE}},
    "getCustomerById": {"answer": _CUSTOMER},
    "updateCustomer": {
        "body": {"status": "suspended", "limits": {"burst": None}},
        "answer": {**_CUSTOMER, "status": "suspended"},
    },
    "createApiKey": {
        "body": {"name": "build server", "role": "customer", "expires_at": "2035-10-27T12:00:00Z"},
        "answer": {**_KEY, "api_key": "nyt_cust_abc123_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"},
    },
    "listApiKeys": {
        "answer": {
            "api_keys": [{**_KEY, "status": "active", "revoked_at": None, "last_used_at": _AT("55:00")}],
            "pagination": _ONE_PAGE,
        }
    },
    "listWorkers": {
        "answer": {
            "workers": [
                {
                    "worker_id": "worker-5",
                    "status": "HEALTHY",
                    "capabilities": ["video_transcoding", "image_processing"],
                    "input_forms": {"video_transcoding": "6c1b0a94e2d7", "image_processing": "any"},
                    "capacity_total": 10,
                    "capacity_used": 3,
                    "tags": {"region": "us-west-2", "hardware": "gpu"},
                    "last_heartbeat": _AT("55:30"),
                    "running_workloads": ["wl_abc123", "wl_def456", "wl_ghi789"],
                    "version": "0.1.0",
                    "registered_at": _AT("00:00"),
                    "standing_order": None,
                }
            ],
            "pagination": _ONE_PAGE,
        }
    },
    "drainWorker": {"answer": {"worker_id": "worker-5", "status": "DRAINING"}},
    "undrainWorker": {"answer": {"worker_id": "worker-5", "status": "HEALTHY"}},
}

_METRICS = """\
# HELP niyanta_workload_submissions_total Total number of workload submissions
# TYPE niyanta_workload_submissions_total counter
niyanta_workload_submissions_total{customer="cust_abc123",status="COMPLETED"} 1234
niyanta_workload_submissions_total{customer="cust_abc123",status="FAILED"} 56
"""

EXAMPLES: dict[str, dict[str, Any]] = {
    **_WORKLOAD_EXAMPLES,
    **_BATCH_EXAMPLES,
    **_CONFIG_EXAMPLES,
    **_CUSTOMER_EXAMPLES,
    **_ADMIN_EXAMPLES,
    **_PROBE_EXAMPLES,
    "getMetrics": {"answer": _METRICS},
    "getMetricsAtRoot": {"answer": _METRICS},
}
