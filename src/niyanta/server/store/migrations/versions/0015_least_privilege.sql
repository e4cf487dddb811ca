-- Partitions by functions of the owner's, and views for reports, so that coordinators need not own the schema.
-- Coordinators may work in a role that owns nothing (grants.sql). What only an owner can do for them are these two functions,
-- which run with their owner's rights. The release before this one goes on as the owner, with statements of its own.
SET LOCAL lock_timeout = '5s';

CREATE FUNCTION drop_expired_partition(parent text, unit text, keep interval) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    -- However little a coordinator asks to keep: nobody who has become one can make the past unseen.
    kept     interval := greatest(keep, CASE parent WHEN 'workload_logs' THEN interval '2 days' ELSE interval '28 days' END);
    expired  record;
BEGIN
    IF parent NOT IN ('workload_logs', 'audit_events', 'audit_seals') THEN
        RAISE EXCEPTION 'nothing of % expires', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Replicas take turns, also with who makes partitions, as the two would lock the same tables in different order.
    IF NOT pg_try_advisory_xact_lock(hashtext('niyanta.make_partitions')) THEN
        RETURN NULL;
    END IF;
    SELECT c.relname, c.relispartition, i.inhdetachpending INTO expired
      FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
     WHERE c.relkind = 'r'
       AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = parent::regclass)
       AND c.relname ~ ('^' || parent || '_p[0-9]{8}$')
       AND (to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp + ('1 ' || unit)::interval) AT TIME ZONE 'UTC'
           <= now() - kept
     ORDER BY c.relname LIMIT 1;
    IF expired IS NULL THEN
        RETURN NULL;
    END IF;
    IF expired.relispartition THEN
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I %s', parent, expired.relname,
                       CASE WHEN expired.inhdetachpending THEN 'FINALIZE' ELSE '' END);
    END IF;
    EXECUTE format('DROP TABLE %I', expired.relname);
    RETURN expired.relname;
END $$;
COMMENT ON FUNCTION drop_expired_partition IS 'Drops the oldest partition of which every row is older than keep, and gives its name; NULL when there is none, or it is somebody else''s turn';

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['make_partitions(text, text, timestamptz, interval)',
                                     'drop_expired_partition(text, text, interval)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', signature, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
    -- The lock stops all readers and writers of the parent who come meanwhile: it is asked for in passing only.
    ALTER FUNCTION drop_expired_partition SET lock_timeout = '50ms';
END $$;

-- What a report or a console may see: no inputs, results, checkpoints, messages, or anything that opens a door.
CREATE SCHEMA reporting;
COMMENT ON SCHEMA reporting IS 'For reports: all customers, without what belongs to them alone, and without secrets';
CREATE VIEW reporting.customers AS
SELECT customer_id, name, tier, status, max_concurrent_workloads, max_queue_depth, rate_limit_per_sec, burst, created_at, changed_at
  FROM customers;
CREATE VIEW reporting.api_keys AS
SELECT customer_id, key_id, name, role, scopes, made_of, workload_id, created_at, expires_at, revoked_at, last_used_at
  FROM api_keys;
CREATE VIEW reporting.usage AS SELECT customer_id, queued, running, assigned FROM customer_usage;
CREATE VIEW reporting.hours AS
SELECT customer_id, hour, workload_type, created, completed, failed, cancelled, completed_seconds, execution_seconds
  FROM workload_hours;
CREATE VIEW reporting.workload_configs AS
SELECT customer_id, config_id, workload_type, cpu_cores, memory_mb, disk_mb, checkpoint_interval_sec, max_retries,
       timeout_seconds, created_at, updated_at
  FROM workload_configs;
CREATE VIEW reporting.workloads AS
SELECT customer_id, workload_id, workload_type, status, version, generation, worker_id, progress_percent, retry_count,
       failure_count, death_streak, checkpoint_sequence, pause_phase, ready, available_at, created_at, scheduled_at, started_at,
       attempt_started_at, paused_at, completed_at, priority, timeout_seconds
  FROM workloads;
CREATE VIEW reporting.checkpoints AS
SELECT customer_id, workload_id, sequence, generation, encoding, size_bytes, progress_percent, created_at FROM checkpoints;
CREATE VIEW reporting.audit_events AS
SELECT customer_id, workload_id, event_id, event_type, occurred_at, actor_type, actor_id FROM audit_events;
CREATE VIEW reporting.workers AS
SELECT worker_id, incarnation, status, capacity, tags, version, registered_at, last_heartbeat, ended_reason, standing_order,
       ordered_by, ordered_at
  FROM workers;
CREATE VIEW reporting.leader AS SELECT epoch, holder, expires_at FROM leader_lease;
