-- name: list_sorted(customer_id, statuses, workload_types, order_by, descending, most, skip)
-- A page in any order; ties by id, nulls last. Only the default order is served from an index.
SELECT workload_id, workload_type, status, priority, progress_percent, created_at, started_at, completed_at, version,
       retry_count, worker_id
  FROM workloads
 WHERE customer_id = :customer_id
   AND (:statuses::text[] IS NULL OR status = ANY(:statuses::text[]))
   AND (:workload_types::text[] IS NULL OR workload_type = ANY(:workload_types::text[]))
 ORDER BY
   CASE WHEN NOT :descending THEN CASE :order_by WHEN 'priority' THEN priority WHEN 'progress_percent' THEN progress_percent END END ASC NULLS LAST,
   CASE WHEN :descending THEN CASE :order_by WHEN 'priority' THEN priority WHEN 'progress_percent' THEN progress_percent END END DESC NULLS LAST,
   CASE WHEN NOT :descending THEN CASE :order_by WHEN 'status' THEN status WHEN 'workload_type' THEN workload_type END END ASC NULLS LAST,
   CASE WHEN :descending THEN CASE :order_by WHEN 'status' THEN status WHEN 'workload_type' THEN workload_type END END DESC NULLS LAST,
   CASE WHEN NOT :descending THEN CASE :order_by WHEN 'started_at' THEN started_at WHEN 'completed_at' THEN completed_at END END ASC NULLS LAST,
   CASE WHEN :descending THEN CASE :order_by WHEN 'started_at' THEN started_at WHEN 'completed_at' THEN completed_at END END DESC NULLS LAST,
   CASE WHEN NOT :descending THEN workload_id END ASC,
   CASE WHEN :descending THEN workload_id END DESC
 LIMIT :most OFFSET :skip;

-- name: list_newest(customer_id, statuses, workload_types, before, most, skip)
-- Newest first. An id sorts by the time of its creation, so the primary key serves it.
SELECT workload_id, workload_type, status, priority, progress_percent, created_at, started_at, completed_at, version,
       retry_count, worker_id
  FROM workloads
 WHERE customer_id = :customer_id AND (:before::text IS NULL OR workload_id < :before::text)
   AND (:statuses::text[] IS NULL OR status = ANY(:statuses::text[]))
   AND (:workload_types::text[] IS NULL OR workload_type = ANY(:workload_types::text[]))
 ORDER BY workload_id DESC LIMIT :most OFFSET :skip;

-- name: list_oldest(customer_id, statuses, workload_types, after, most, skip)
-- Oldest first.
SELECT workload_id, workload_type, status, priority, progress_percent, created_at, started_at, completed_at, version,
       retry_count, worker_id
  FROM workloads
 WHERE customer_id = :customer_id AND (:after::text IS NULL OR workload_id > :after::text)
   AND (:statuses::text[] IS NULL OR status = ANY(:statuses::text[]))
   AND (:workload_types::text[] IS NULL OR workload_type = ANY(:workload_types::text[]))
 ORDER BY workload_id LIMIT :most OFFSET :skip;

-- name: count_listed(customer_id, statuses, workload_types)^
-- How many there are in all.
SELECT count(*) AS total FROM workloads
 WHERE customer_id = :customer_id
   AND (:statuses::text[] IS NULL OR status = ANY(:statuses::text[]))
   AND (:workload_types::text[] IS NULL OR workload_type = ANY(:workload_types::text[]));
