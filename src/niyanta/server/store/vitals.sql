-- name: oldest_waiting()
-- Of each tier the oldest workload that waits, by its id, which begins with the time of its submission. Walks the index of what
-- rests from type to type: costs a probe for each customer with a queue and each type in it, whatever the backlog.
SELECT c.tier, min(o.workload_id) AS workload_id
  FROM customers c JOIN customer_usage u USING (customer_id)
 CROSS JOIN LATERAL (
    WITH RECURSIVE stream AS (
        (SELECT workload_type, workload_id FROM workloads
          WHERE incarnation IS NULL AND customer_id = c.customer_id AND status = 'PENDING'
          ORDER BY workload_type, workload_id LIMIT 1)
        UNION ALL
        SELECT n.workload_type, n.workload_id FROM stream s CROSS JOIN LATERAL (
            SELECT w.workload_type, w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = c.customer_id AND w.status = 'PENDING'
               AND w.workload_type > s.workload_type
             ORDER BY w.workload_type, w.workload_id LIMIT 1) n
    )
    SELECT min(workload_id) AS workload_id FROM stream) o
 WHERE u.queued > 0 AND o.workload_id IS NOT NULL
 GROUP BY c.tier;

-- name: partition_spans(parents, units)
-- How long each table's partitions last from now on (without one, what belongs there can't be written), and how far they go back.
SELECT p.parent,
       extract(epoch FROM now() - min(to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC'))::double precision AS behind_seconds,
       extract(epoch FROM max((to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp + ('1 ' || p.unit)::interval) AT TIME ZONE 'UTC')
                          - now())::double precision AS ahead_seconds
  FROM unnest(:parents::text[], :units::text[]) AS p (parent, unit)
  JOIN pg_inherits i ON i.inhparent = p.parent::regclass
  JOIN pg_class c ON c.oid = i.inhrelid AND c.relname ~ '_p[0-9]{8}$'
 GROUP BY p.parent;

-- name: since_checkpoint(customer_ids, workload_ids)
-- How long ago each of these workloads saved its last checkpoint, of those that have saved one.
SELECT k.customer_id, k.workload_id, extract(epoch FROM clock_timestamp() - k.created_at)::double precision AS seconds
  FROM unnest(:customer_ids::text[], :workload_ids::text[]) AS w (customer_id, workload_id)
 CROSS JOIN LATERAL (
    SELECT c.customer_id, c.workload_id, c.created_at FROM checkpoints c
     WHERE c.customer_id = w.customer_id AND c.workload_id = w.workload_id ORDER BY c.sequence DESC LIMIT 1) k;
