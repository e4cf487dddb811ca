-- name: lines_after(customer_id, workload_id, levels, logged_at, generation, sequence, until, most)
-- A workload's log behind a place, oldest first, up to a time. The place's time and until also say which partitions
-- are read; the primary key serves the order.
SELECT logged_at, generation, sequence, level, message, details FROM workload_logs
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
   AND logged_at >= :logged_at AND logged_at <= :until
   AND (logged_at, generation, sequence) > (:logged_at, :generation, :sequence)
 ORDER BY logged_at, generation, sequence LIMIT :most;

-- name: lines_before(customer_id, workload_id, levels, logged_at, generation, sequence, since, most)
-- The same before a place, newest first, back to a time that itself is left out.
SELECT logged_at, generation, sequence, level, message, details FROM workload_logs
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
   AND logged_at <= :logged_at AND logged_at > :since
   AND (logged_at, generation, sequence) < (:logged_at, :generation, :sequence)
 ORDER BY logged_at DESC, generation DESC, sequence DESC LIMIT :most;

-- name: count_lines(customer_id, workload_id, levels, since, until, most)^
-- How many lines there are after since up to until; counting stops at most, which bounds the cost.
SELECT count(*) AS total FROM (
    SELECT FROM workload_logs
     WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
       AND logged_at > :since AND logged_at <= :until LIMIT :most) found;
