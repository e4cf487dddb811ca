-- The release before this one neither sets nor heeds it: what it submits or assigns is in no trace.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workloads ADD COLUMN traceparent text COLLATE "C";
COMMENT ON COLUMN workloads.traceparent IS 'The span that it was submitted in, as W3C Trace Context has it; NULL where nothing was traced';
CREATE OR REPLACE VIEW workload_states AS
SELECT customer_id, workload_id, workload_type, status, version, generation, event_count, worker_id, incarnation,
       scheduled_from, event_sequence, progress_percent, progress_message, retry_count, failure_count, death_streak,
       checkpoint_sequence, pause_phase, ready, available_at, scheduled_at, started_at, attempt_started_at, paused_at,
       completed_at, error_message, result_json, placement_key, config_snapshot, timeout_seconds, misfits, traceparent
  FROM workloads;
