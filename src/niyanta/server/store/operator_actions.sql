-- name: record(action_id, event_id, event_type, actor_id, details)!
-- One event of an operator's action: the first as it begins, the second as it has ended. They are audit events like workloads',
-- in a chain of their own.
INSERT INTO audit_events (customer_id, workload_id, event_id, event_type, occurred_at, actor_type, actor_id, details)
VALUES ('operators', :action_id, :event_id::int, :event_type, now(), 'user', :actor_id, :details::json);

-- name: actions(before, actor_id, action, kind, target, outcome, since, until, most)
-- Operators' actions, the newest first, before one. Ids sort by time, so the primary key gives the order; a filter that little
-- fits reads more than it gives. Only what changes nothing has its outcome in its first event.
SELECT b.workload_id AS action_id, b.event_type, b.occurred_at, b.actor_id, b.details AS begun_json,
       e.details AS ended_json
  FROM audit_events b
  LEFT JOIN audit_events e ON e.customer_id = 'operators' AND e.workload_id = b.workload_id AND e.event_id = 2
 WHERE b.customer_id = 'operators' AND b.event_id = 1
   AND (:before::text IS NULL OR b.workload_id < :before::text)
   AND (:actor_id::text IS NULL OR b.actor_id = :actor_id::text)
   AND (:action::text IS NULL OR b.event_type = 'admin.' || :action::text)
   AND (:kind::text IS NULL OR (b.details->>'outcome' IS NULL) = (:kind::text = 'change'))
   AND (:target::text IS NULL OR EXISTS (
           SELECT FROM json_each_text(b.details->'target') t WHERE t.value = :target::text) OR EXISTS (
           SELECT FROM json_each_text(coalesce(e.details, b.details)->'facts') f WHERE f.value = :target::text))
   AND (:outcome::text IS NULL OR coalesce(e.details->>'outcome', b.details->>'outcome', 'unknown') = :outcome::text)
   AND (:since::timestamptz IS NULL OR b.occurred_at >= :since::timestamptz)
   AND (:until::timestamptz IS NULL OR b.occurred_at < :until::timestamptz)
 ORDER BY b.workload_id DESC LIMIT :most::int;
