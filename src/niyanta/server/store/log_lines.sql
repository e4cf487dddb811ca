-- name: add_logs(customer_ids, workload_ids, generations, sequences, logged_ats, levels, messages, details)!
-- Append log lines; one that is there already stays as it is.
INSERT INTO workload_logs (customer_id, workload_id, generation, sequence, logged_at, level, message, details)
SELECT i.customer_id, i.workload_id, i.generation, i.sequence, i.logged_at, i.level, i.message, i.details::json
  FROM unnest(:customer_ids::text[], :workload_ids::text[], :generations::int[], :sequences::bigint[],
              :logged_ats::timestamptz[], :levels::text[], :messages::text[], :details::text[])
    AS i (customer_id, workload_id, generation, sequence, logged_at, level, message, details)
ON CONFLICT DO NOTHING;

-- name: logs(customer_id, workload_id, since, until, most)
-- A workload's log, oldest first: after since, up to until, which also say which partitions are read.
SELECT generation, sequence, logged_at, level, message, details AS details_json FROM workload_logs
 WHERE customer_id = :customer_id AND workload_id = :workload_id
   AND logged_at > :since AND logged_at <= :until
 ORDER BY logged_at, generation, sequence LIMIT :most;
