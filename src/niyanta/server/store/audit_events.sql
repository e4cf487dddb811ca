-- name: audit(customer_id, workload_id, after, since, until, most)
-- A workload's history in order. since and until say which partitions are read.
SELECT event_id, event_type, occurred_at, actor_type, actor_id, details AS details_json
  FROM audit_events
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND event_id > :after
   AND occurred_at >= :since AND occurred_at <= :until
 ORDER BY event_id LIMIT :most;
