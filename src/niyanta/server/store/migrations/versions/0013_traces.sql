-- A workload remembers the span that it was submitted in.
-- The release before this one neither sets nor heeds it: what it submits or assigns is in no trace. Its view stays as it is: a
-- statement that is prepared breaks when it would give other columns, in a transaction for good, and it has prepared some.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workloads ADD COLUMN traceparent text COLLATE "C";
COMMENT ON COLUMN workloads.traceparent IS 'The span that it was submitted in, as W3C Trace Context has it; NULL where nothing was traced';
CREATE VIEW traced_workload_states AS
SELECT customer_id, workload_id, workload_type, status, version, generation, event_count, worker_id, incarnation,
       scheduled_from, event_sequence, progress_percent, progress_message, retry_count, failure_count, death_streak,
       checkpoint_sequence, pause_phase, ready, available_at, scheduled_at, started_at, attempt_started_at, paused_at,
       completed_at, error_message, result_json, placement_key, config_snapshot, timeout_seconds, misfits, traceparent
  FROM workloads;
COMMENT ON VIEW traced_workload_states IS 'What the moves read: the columns of domain.WorkloadState, and what a decision needs besides';
