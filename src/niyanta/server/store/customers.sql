-- name: create_customer(customer_id, name, tier, max_concurrent_workloads, max_queue_depth, rate_limit_per_sec, burst)^
-- A customer and its counts.
WITH added AS (
    INSERT INTO customers (customer_id, name, tier, max_concurrent_workloads, max_queue_depth, rate_limit_per_sec, burst)
    VALUES (:customer_id, :name, :tier, :max_concurrent_workloads, :max_queue_depth, :rate_limit_per_sec, :burst)
    RETURNING *
), counted AS (
    INSERT INTO customer_usage (customer_id) SELECT customer_id FROM added
)
SELECT *, 0 AS queued, 0 AS running, 0::bigint AS assigned FROM added;

-- name: update_customer(customer_id, name, tier, status, max_concurrent_workloads, max_queue_depth, rate_limit_per_sec, burst, to_default)^
-- Change what is given (not null), and let the limits named in to_default be the tier's again.
UPDATE customers c
   SET name = coalesce(:name, name), tier = coalesce(:tier, tier), status = coalesce(:status, status),
       max_concurrent_workloads = CASE WHEN 'max_concurrent_workloads' = ANY(:to_default::text[]) THEN NULL
                                       ELSE coalesce(:max_concurrent_workloads, max_concurrent_workloads) END,
       max_queue_depth = CASE WHEN 'max_queue_depth' = ANY(:to_default::text[]) THEN NULL
                              ELSE coalesce(:max_queue_depth, max_queue_depth) END,
       rate_limit_per_sec = CASE WHEN 'rate_limit_per_sec' = ANY(:to_default::text[]) THEN NULL
                                 ELSE coalesce(:rate_limit_per_sec, rate_limit_per_sec) END,
       burst = CASE WHEN 'burst' = ANY(:to_default::text[]) THEN NULL ELSE coalesce(:burst, burst) END
  FROM customer_usage u
 WHERE c.customer_id = :customer_id AND u.customer_id = c.customer_id
RETURNING c.*, u.queued, u.running, u.assigned;

-- name: customers_changed(within_seconds)
-- Those that changed not longer ago than this, all when it is NULL; the coordinators keep them in memory. By two statements, so
-- that the index on the time of change serves the usual one.
SELECT c.*, u.queued, u.running, u.assigned FROM customers c JOIN customer_usage u USING (customer_id)
 WHERE :within_seconds::double precision IS NULL
UNION ALL
SELECT c.*, u.queued, u.running, u.assigned FROM customers c JOIN customer_usage u USING (customer_id)
 WHERE c.changed_at > now() - make_interval(secs => :within_seconds::double precision);

-- name: usages(customer_ids)
-- What these customers have under way.
SELECT customer_id, queued, running, assigned FROM customer_usage WHERE customer_id = ANY(:customer_ids::text[]);

-- name: customers_page(after, most, skip)
-- A page of them, oldest first. Customers are never deleted, so the row a cursor names is always there.
SELECT c.*, u.queued, u.running, u.assigned FROM customers c JOIN customer_usage u USING (customer_id)
 WHERE :after::text IS NULL
    OR (c.created_at, c.customer_id) > (SELECT created_at, customer_id FROM customers WHERE customer_id = :after::text)
 ORDER BY c.created_at, c.customer_id LIMIT :most OFFSET :skip;

-- name: count_customers()^
-- How many there are.
SELECT count(*) AS total FROM customers;

-- name: usage_by_tier()
-- What each tier has under way: costs a row for each customer.
SELECT c.tier, sum(u.queued)::bigint AS queued, sum(u.running)::bigint AS running
  FROM customers c JOIN customer_usage u USING (customer_id) GROUP BY c.tier;

-- name: busy_customers(most)
-- Those with something under way, the most first: costs a row for each customer.
SELECT c.*, u.queued, u.running, u.assigned FROM customers c JOIN customer_usage u USING (customer_id)
 WHERE u.queued > 0 OR u.running > 0
 ORDER BY u.running DESC, u.queued DESC, customer_id LIMIT :most;

-- name: customer(customer_id)^
-- One, with its counts.
SELECT c.*, u.queued, u.running, u.assigned FROM customers c JOIN customer_usage u USING (customer_id)
 WHERE c.customer_id = :customer_id;

-- name: configured_types(customer_id)
-- Workload types that the customer has a config for, with the JSON Schema of their input.
SELECT workload_type, input_schema FROM workload_configs WHERE customer_id = :customer_id ORDER BY workload_type;
