-- name: add_lines(customer_ids, workload_ids, generations, sequences, logged_ats, levels, messages, details)!
-- Append log lines; one that is there already stays as it is.
INSERT INTO workload_logs (customer_id, workload_id, generation, sequence, logged_at, level, message, details)
SELECT i.customer_id, i.workload_id, i.generation, i.sequence, i.logged_at, i.level, i.message, i.details::json
  FROM unnest(:customer_ids::text[], :workload_ids::text[], :generations::int[], :sequences::bigint[],
              :logged_ats::timestamptz[], :levels::text[], :messages::text[], :details::text[])
    AS i (customer_id, workload_id, generation, sequence, logged_at, level, message, details)
ON CONFLICT DO NOTHING;

-- name: lines_after(customer_id, workload_id, levels, logged_at, generation, sequence, until, most)
-- A workload's log behind a place, oldest first, up to a time. The place's time and until also say which partitions
-- are read; the primary key serves the order.
SELECT logged_at, generation, sequence, level, message, details AS details_json
  FROM workload_logs
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
   AND logged_at >= :logged_at AND logged_at <= :until
   AND (logged_at, generation, sequence) > (:logged_at, :generation, :sequence)
 ORDER BY logged_at, generation, sequence LIMIT :most;

-- name: lines_before(customer_id, workload_id, levels, logged_at, generation, sequence, since, most)
-- The same before a place, newest first, back to a time that itself is left out.
SELECT logged_at, generation, sequence, level, message, details AS details_json
  FROM workload_logs
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
   AND logged_at <= :logged_at AND logged_at > :since
   AND (logged_at, generation, sequence) < (:logged_at, :generation, :sequence)
 ORDER BY logged_at DESC, generation DESC, sequence DESC LIMIT :most;

-- name: searched_after(customer_id, workload_id, levels, pattern, logged_at, generation, sequence, until, reach, most)
-- As `lines_after`, only lines whose message fits the pattern. Looks at `reach` lines at the most, and as many
-- more without their text; the last of them, where there are so many, comes as a last row that doesn't fit.
(SELECT * FROM (
    SELECT logged_at, generation, sequence, level, message, details AS details_json, true AS fits
      FROM workload_logs
     WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
       AND logged_at >= :logged_at AND logged_at <= :until
       AND (logged_at, generation, sequence) > (:logged_at, :generation, :sequence)
     ORDER BY logged_at, generation, sequence LIMIT :reach) near
  WHERE message ~ (:pattern::text COLLATE "C")
  ORDER BY logged_at, generation, sequence LIMIT :most)
UNION ALL
(SELECT logged_at, generation, sequence, level, '', '{}', false
   FROM workload_logs
  WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
    AND logged_at >= :logged_at AND logged_at <= :until
    AND (logged_at, generation, sequence) > (:logged_at, :generation, :sequence)
  ORDER BY logged_at, generation, sequence OFFSET :reach - 1 LIMIT 1);

-- name: searched_before(customer_id, workload_id, levels, pattern, logged_at, generation, sequence, since, reach, most)
-- As `searched_after`, before a place, newest first.
(SELECT * FROM (
    SELECT logged_at, generation, sequence, level, message, details AS details_json, true AS fits
      FROM workload_logs
     WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
       AND logged_at <= :logged_at AND logged_at > :since
       AND (logged_at, generation, sequence) < (:logged_at, :generation, :sequence)
     ORDER BY logged_at DESC, generation DESC, sequence DESC LIMIT :reach) near
  WHERE message ~ (:pattern::text COLLATE "C")
  ORDER BY logged_at DESC, generation DESC, sequence DESC LIMIT :most)
UNION ALL
(SELECT logged_at, generation, sequence, level, '', '{}', false
   FROM workload_logs
  WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
    AND logged_at <= :logged_at AND logged_at > :since
       AND (logged_at, generation, sequence) < (:logged_at, :generation, :sequence)
  ORDER BY logged_at DESC, generation DESC, sequence DESC OFFSET :reach - 1 LIMIT 1);

-- name: count_lines(customer_id, workload_id, levels, since, until, most)^
-- How many lines there are after since up to until; counting stops at most, which bounds the cost.
SELECT count(*) AS total FROM (
    SELECT FROM workload_logs
     WHERE customer_id = :customer_id AND workload_id = :workload_id AND level = ANY(:levels::text[])
       AND logged_at > :since AND logged_at <= :until LIMIT :most) found;
