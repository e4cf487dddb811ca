-- name: running(worker_ids, incarnations)
-- What runs on workers that are drained by moving, with what says where else it could run. Notes what they hold that came after
-- the order. Locking: rows that are noted, which nobody else waits for long.
WITH held AS MATERIALIZED (
    SELECT w.worker_id, w.incarnation, w.customer_id, w.workload_id, w.generation, w.workload_type, w.affinity_rules, w.misfits,
           w.status
      FROM unnest(:worker_ids::text[], :incarnations::text[]) AS b (worker_id, incarnation)
      JOIN workloads w ON w.worker_id = b.worker_id AND w.incarnation = b.incarnation
), noted AS (
    INSERT INTO drained_workloads (customer_id, workload_id, generation, worker_id)
    SELECT customer_id, workload_id, generation, worker_id FROM held ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING
)
SELECT worker_id, incarnation, customer_id, workload_id, generation, workload_type, affinity_rules, misfits
  FROM held WHERE status = 'RUNNING';

-- name: found(worker_id, endings)
-- What a drain found, how each attempt stands or ended, and where the next one began; by the history, since the row knows the
-- newest attempt only. What the worker holds besides is told, too: an assignment may have been under way. An event's
-- transaction may have begun before the one that noted the attempt. Costs a walk through the history of each, which are no more
-- than the worker has slots.
SELECT d.customer_id, d.workload_id, d.generation, w.workload_type, w.status, w.affinity_rules, w.misfits,
       coalesce(w.generation = d.generation AND w.incarnation IS NOT NULL, false) AS is_held,
       coalesce(ending.checkpoint_sequence, w.checkpoint_sequence) AS checkpoint_sequence,
       ending.event_type AS ended_by, ending.reason, moved.worker_id AS moved_to,
       coalesce(saved.event_type = 'workload.checkpoint_created', false) AS has_saved,
       coalesce(extract(epoch FROM ending.occurred_at - saved.occurred_at), 0)::double precision AS unsaved_seconds
  FROM (SELECT customer_id, workload_id, generation, noted_at FROM drained_workloads WHERE worker_id = :worker_id
        UNION ALL
        SELECT h.customer_id, h.workload_id, h.generation, h.scheduled_at FROM workloads h
         WHERE h.worker_id = :worker_id AND h.incarnation IS NOT NULL
           AND NOT EXISTS (SELECT FROM drained_workloads n
                            WHERE n.customer_id = h.customer_id AND n.workload_id = h.workload_id AND n.generation = h.generation)
       ) d
  JOIN workloads w USING (customer_id, workload_id)
  LEFT JOIN LATERAL (
    SELECT a.event_type, a.occurred_at, a.details->>'reason' AS reason,
           coalesce((a.details->>'checkpoint_sequence')::int, 0) AS checkpoint_sequence
      FROM audit_events a
     WHERE a.customer_id = d.customer_id AND a.workload_id = d.workload_id AND a.occurred_at > d.noted_at - interval '1 hour'
       AND a.event_type = ANY(:endings::text[]) AND (a.details->>'attempt')::int = d.generation
     ORDER BY a.event_id LIMIT 1) ending ON true
  LEFT JOIN LATERAL (
    SELECT a.details->>'worker_id' AS worker_id FROM audit_events a
     WHERE a.customer_id = d.customer_id AND a.workload_id = d.workload_id AND a.occurred_at > d.noted_at - interval '1 hour'
       AND a.event_type = 'workload.scheduled' AND (a.details->>'attempt')::int = d.generation + 1
     ORDER BY a.event_id LIMIT 1) moved ON true
  LEFT JOIN LATERAL (
    SELECT a.event_type, a.occurred_at FROM audit_events a
     WHERE a.customer_id = d.customer_id AND a.workload_id = d.workload_id AND a.occurred_at > w.created_at - interval '1 day'
       AND a.event_type IN ('workload.started', 'workload.checkpoint_created')
       AND (a.details->>'attempt')::int = d.generation
     ORDER BY a.event_id DESC LIMIT 1) saved ON true
 ORDER BY d.customer_id, d.workload_id, d.generation;
