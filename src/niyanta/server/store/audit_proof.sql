-- name: chain_state()^
-- The mark up to which all is sealed, since when there are seals, and now.
SELECT sealed_to, began_at, now() AS db_now FROM audit_sealing;

-- name: heads()
-- The end of each chain.
SELECT customer_id, sequence, events_total, hash, sealed_at FROM audit_heads;

-- name: recorded_customers()
-- Whose events or seals there are. Walks the primary keys from customer to customer. Locking: all partitions, against who drops
-- them.
WITH RECURSIVE written AS (
    (SELECT customer_id FROM audit_events ORDER BY customer_id LIMIT 1)
    UNION ALL
    SELECT (SELECT e.customer_id FROM audit_events e WHERE e.customer_id > w.customer_id ORDER BY e.customer_id LIMIT 1)
      FROM written w WHERE w.customer_id IS NOT NULL
), sealed AS (
    (SELECT customer_id FROM audit_seals ORDER BY customer_id LIMIT 1)
    UNION ALL
    SELECT (SELECT e.customer_id FROM audit_seals e WHERE e.customer_id > s.customer_id ORDER BY e.customer_id LIMIT 1)
      FROM sealed s WHERE s.customer_id IS NOT NULL
)
SELECT customer_id FROM written WHERE customer_id IS NOT NULL
 UNION SELECT customer_id FROM sealed WHERE customer_id IS NOT NULL
 UNION SELECT customer_id FROM audit_heads
 ORDER BY customer_id;

-- name: event_months()
-- The months that audit events have partitions for. A snapshot holds rows, and no tables: those that are gone although it shows
-- them aren't told. What `recorded_customers` has read before stays until the transaction ends.
SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS month
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'audit_events'::regclass
   AND c.relname ~ '_p[0-9]{8}$' AND to_regclass(quote_ident(c.relname)) IS NOT NULL;

-- name: seals_after(customer_id, after, most)
-- A customer's seals in order.
SELECT customer_id, sequence, month, entries_after, entries_to, event_count, events_total, content_sha256, manifest,
       previous_hash, previous_at, hash, key_id, sealed_at
  FROM audit_seals WHERE customer_id = :customer_id AND sequence > :after ORDER BY sequence LIMIT :most;

-- name: entries(customer_id)
-- A customer's events with numbers, in their order. The sum keeps the planner from walking all customers' by number instead of
-- sorting one's.
SELECT workload_id, event_id, event_type, occurred_at, actor_type, actor_id, entry_number, details AS details_json
  FROM audit_events WHERE customer_id = :customer_id AND entry_number IS NOT NULL
 ORDER BY entry_number + 0, workload_id, event_id;

-- name: unnumbered(customer_id, began_at)^
-- How many events have no number: written before there were seals, as far as their times say.
SELECT count(*) FILTER (WHERE occurred_at <= :began_at::timestamptz + interval '1 hour') AS before,
       count(*) FILTER (WHERE occurred_at > :began_at::timestamptz + interval '1 hour') AS later
  FROM audit_events WHERE customer_id = :customer_id AND entry_number IS NULL;

-- name: miscounted(customer_id, most)
-- Workloads whose events aren't numbered without a gap, or don't end where the workload says.
SELECT e.workload_id, e.least, e.greatest, e.events, w.event_count
  FROM (SELECT workload_id, min(event_id) AS least, max(event_id) AS greatest, count(*) AS events
          FROM audit_events WHERE customer_id = :customer_id GROUP BY workload_id) e
  LEFT JOIN workloads w ON w.customer_id = :customer_id AND w.workload_id = e.workload_id
 WHERE e.greatest - e.least + 1 <> e.events OR w.event_count <> e.greatest
 ORDER BY e.workload_id LIMIT :most;
