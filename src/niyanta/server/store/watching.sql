-- name: states(customer_ids, workload_ids, seen_events)
-- Some workloads as they are, with the moves since the last audit event that was seen (0: none are asked for). One
-- statement is one snapshot: the moves end where the row stands.
SELECT w.customer_id, w.workload_id, w.status, w.version, w.generation, w.event_sequence, w.event_count,
       w.progress_percent, w.progress_message, w.error_message, w.completed_at, w.result_json, now() AS db_now, m.moves
  FROM unnest(:customer_ids::text[], :workload_ids::text[], :seen_events::int[])
    AS i (customer_id, workload_id, seen_events)
  JOIN workloads w ON w.customer_id = i.customer_id AND w.workload_id = i.workload_id
  LEFT JOIN LATERAL (
        SELECT json_agg(json_build_object('event_id', a.event_id, 'at', a.occurred_at, 'details', a.details)
                        ORDER BY a.event_id)::text AS moves
          FROM audit_events a
         WHERE a.customer_id = i.customer_id AND a.workload_id = i.workload_id AND a.event_id > i.seen_events
           AND a.event_type <> 'workload.checkpoint_created') m
    ON i.seen_events > 0 AND w.event_count > i.seen_events;

-- name: stale(customer_ids, workload_ids, versions, generations, sequences)
-- Which of these have changed since they were read: another version, or events of an attempt that were applied after
-- the one given (NULL: doesn't matter).
SELECT i.customer_id, i.workload_id
  FROM unnest(:customer_ids::text[], :workload_ids::text[], :versions::bigint[], :generations::int[],
              :sequences::bigint[]) AS i (customer_id, workload_id, version, generation, sequence)
  LEFT JOIN workloads w ON w.customer_id = i.customer_id AND w.workload_id = i.workload_id
 WHERE w.version IS DISTINCT FROM i.version
    OR (w.generation, w.event_sequence) > (i.generation, i.sequence);

-- name: lines(customer_ids, workload_ids, generations, sequences, last_generations, last_sequences, floors, most)
-- The next log lines of each workload after a place, up to the last that a reading of the row has seen applied. Lines
-- are committed in the order of generation and sequence; the floor, a time before which none of them can lie, keeps the
-- walk along the primary key short.
SELECT l.*
  FROM unnest(:customer_ids::text[], :workload_ids::text[], :generations::int[], :sequences::bigint[],
              :last_generations::int[], :last_sequences::bigint[], :floors::timestamptz[])
    AS i (customer_id, workload_id, generation, sequence, last_generation, last_sequence, floor)
 CROSS JOIN LATERAL (
        SELECT g.customer_id, g.workload_id, g.generation, g.sequence, g.logged_at, g.level, g.message,
               g.details AS details_json
          FROM workload_logs g
         WHERE g.customer_id = i.customer_id AND g.workload_id = i.workload_id
           AND g.logged_at >= coalesce(i.floor, '-infinity') AND (g.generation, g.sequence) > (i.generation, i.sequence)
           AND (g.generation, g.sequence) <= (i.last_generation, i.last_sequence)
         ORDER BY g.generation, g.sequence LIMIT :most) l;
