-- name: add_failures(customer_ids, workload_ids, workload_types, fingerprints, failed_ats, messages)!
-- What workloads have FAILED of, in the transaction that moves them. Locking: the rows of the hours in order of their key, after
-- all that the move locks; whoever comes here holds the customers' counts.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(:customer_ids::text[], :workload_ids::text[], :workload_types::text[], :fingerprints::text[],
                         :failed_ats::timestamptz[], :messages::text[])
        AS i (customer_id, workload_id, workload_type, fingerprint, failed_at, message)
), labels AS (
    INSERT INTO workload_labels (customer_id, workload_id, key, value)
    SELECT customer_id, workload_id, '', fingerprint FROM given
)
INSERT INTO failure_hours AS h (customer_id, hour, fingerprint, workload_type, failed, first_at, last_at, message)
SELECT customer_id, date_trunc('hour', failed_at, 'UTC'), fingerprint, workload_type, count(*), min(failed_at),
       max(failed_at), (array_agg(message ORDER BY failed_at DESC))[1]
  FROM given GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (customer_id, hour, fingerprint, workload_type) DO UPDATE
   SET failed = h.failed + excluded.failed, first_at = least(h.first_at, excluded.first_at),
       last_at = greatest(h.last_at, excluded.last_at), message = excluded.message;

-- name: failures(customer_id, since, until, workload_type, by_count, rows, most, samples)
-- Failures that are alike, of the hours from one time to another: the last first or, by_count, the most frequent. Reads no more
-- than so many rows, those of the last hours first, and says from which hour on it has counted where there are more. Messages
-- are read only of the failures that are shown: an hour's row has the last one of its hour.
WITH kinds AS MATERIALIZED (
    SELECT fingerprint, workload_type, sum(failed) AS failed, min(first_at) AS first_at, max(last_at) AS last_at,
           count(*) AS rows, min(hour) AS hour
      FROM (SELECT * FROM failure_hours
             WHERE customer_id = :customer_id AND hour >= date_trunc('hour', :since::timestamptz, 'UTC') AND hour <= :until::timestamptz
             ORDER BY hour DESC LIMIT :rows) near
     GROUP BY fingerprint, workload_type
), alike AS (
    SELECT fingerprint, sum(failed)::bigint AS failed, min(first_at) AS first_at, max(last_at) AS last_at,
           array_agg(workload_type ORDER BY workload_type) AS workload_types
      FROM kinds WHERE :workload_type::text IS NULL OR workload_type = :workload_type
     GROUP BY fingerprint
     ORDER BY CASE WHEN :by_count THEN sum(failed) END DESC, max(last_at) DESC, fingerprint LIMIT :most
)
SELECT a.*, m.message, (SELECT min(hour) FROM kinds HAVING sum(rows) >= :rows) AS counted_since,
       ARRAY(SELECT l.workload_id FROM workload_labels l
              WHERE l.customer_id = :customer_id AND l.key = '' AND l.value = a.fingerprint
              ORDER BY l.workload_id DESC LIMIT :samples) AS workload_ids
  FROM alike a CROSS JOIN LATERAL (
    SELECT h.message FROM failure_hours h
     WHERE h.customer_id = :customer_id AND h.hour = date_trunc('hour', a.last_at, 'UTC') AND h.fingerprint = a.fingerprint
       AND h.workload_type = ANY(a.workload_types) AND h.last_at = a.last_at LIMIT 1) m
 ORDER BY CASE WHEN :by_count THEN a.failed END DESC, a.last_at DESC, a.fingerprint;
