-- name: newest(customer_id, above_id, before_id, most, skip)
-- Everything in a range of ids, newest first. An id sorts by the time of its creation, so the primary key serves it.
WITH page AS (
    SELECT workload_id FROM workloads
     WHERE customer_id = :customer_id AND workload_id > :above_id AND workload_id < :before_id
     ORDER BY workload_id DESC LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.workload_id DESC;

-- name: oldest(customer_id, after_id, below_id, most, skip)
-- The same, oldest first.
WITH page AS (
    SELECT workload_id FROM workloads
     WHERE customer_id = :customer_id AND workload_id > :after_id AND workload_id < :below_id
     ORDER BY workload_id LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.workload_id;

-- name: streams(customer_id)
-- The (status, type) pairs of a customer's resting workloads. Walks the index from pair to pair: the cost grows with
-- the pairs, not with the workloads.
WITH RECURSIVE stream AS (
    (SELECT status, workload_type FROM workloads
      WHERE incarnation IS NULL AND customer_id = :customer_id ORDER BY status, workload_type LIMIT 1)
    UNION ALL
    SELECT n.status, n.workload_type FROM stream s CROSS JOIN LATERAL (
        SELECT w.status, w.workload_type FROM workloads w
         WHERE w.incarnation IS NULL AND w.customer_id = :customer_id
           AND (w.status, w.workload_type) > (s.status, s.workload_type)
         ORDER BY w.status, w.workload_type LIMIT 1) n
)
SELECT status, workload_type FROM stream;

-- The queries below merge streams: the first rows of each resting (status, type), each read from an index in the wanted
-- order, and what workers hold. A page costs streams × page, whatever lies behind. `_up` is ascending, `_down` descending.

-- name: by_place_up(customer_id, statuses, types, places, after_ids, below_id, status, workload_type, order_by, place, after_id, reach, most, skip)
-- By status, by type, or by age alone: a stream has one place in such an order, and its ids order it further.
WITH page AS (
    SELECT p.place COLLATE "C" AS place, p.workload_id FROM (
        SELECT s.place, r.workload_id
          FROM unnest(:statuses::text[], :types::text[], :places::text[], :after_ids::text[])
            AS s (status, workload_type, place, after_id)
         CROSS JOIN LATERAL (
            SELECT w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND w.workload_id > s.after_id
               AND w.workload_id < :below_id
             ORDER BY w.workload_id LIMIT :reach) r
        UNION ALL
        SELECT CASE :order_by::text WHEN 'status' THEN w.status WHEN 'workload_type' THEN w.workload_type ELSE '' END,
               w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id AND w.workload_id < :below_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
    ) p
     WHERE (p.place COLLATE "C", p.workload_id) > (:place::text, :after_id::text)
     ORDER BY 1, 2 LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.place, p.workload_id;

-- name: by_place_down(customer_id, statuses, types, places, before_ids, above_id, status, workload_type, order_by, place, before_id, reach, most, skip)
-- As `by_place_up`, downwards.
WITH page AS (
    SELECT p.place COLLATE "C" AS place, p.workload_id FROM (
        SELECT s.place, r.workload_id
          FROM unnest(:statuses::text[], :types::text[], :places::text[], :before_ids::text[])
            AS s (status, workload_type, place, before_id)
         CROSS JOIN LATERAL (
            SELECT w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND w.workload_id < s.before_id
               AND w.workload_id > :above_id
             ORDER BY w.workload_id DESC LIMIT :reach) r
        UNION ALL
        SELECT CASE :order_by::text WHEN 'status' THEN w.status WHEN 'workload_type' THEN w.workload_type ELSE '' END,
               w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id AND w.workload_id > :above_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
    ) p
     WHERE (p.place COLLATE "C", p.workload_id) < (:place::text, :before_id::text)
     ORDER BY 1 DESC, 2 DESC LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.place DESC, p.workload_id DESC;

-- name: by_priority_up(customer_id, statuses, types, status, workload_type, after, after_id, reach, most, skip)
-- By priority, the lowest first.
WITH page AS (
    SELECT p.priority, p.workload_id FROM (
        SELECT r.priority, r.workload_id
          FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            SELECT w.priority, w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND (w.priority, w.workload_id) > (:after::int, :after_id)
             ORDER BY w.priority, w.workload_id LIMIT :reach) r
        UNION ALL
        SELECT w.priority, w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
           AND (w.priority, w.workload_id) > (:after::int, :after_id)
    ) p
     ORDER BY 1, 2 LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.priority, p.workload_id;

-- name: by_priority_down(customer_id, statuses, types, status, workload_type, before, before_id, reach, most, skip)
-- By priority, the highest first.
WITH page AS (
    SELECT p.priority, p.workload_id FROM (
        SELECT r.priority, r.workload_id
          FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            SELECT w.priority, w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND (w.priority, w.workload_id) < (:before::int, :before_id)
             ORDER BY w.priority DESC, w.workload_id DESC LIMIT :reach) r
        UNION ALL
        SELECT w.priority, w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
           AND (w.priority, w.workload_id) < (:before::int, :before_id)
    ) p
     ORDER BY 1 DESC, 2 DESC LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.priority DESC, p.workload_id DESC;

-- name: by_progress_up(customer_id, statuses, types, status, workload_type, after, after_id, reach, most, skip)
-- By progress, the least first.
WITH page AS (
    SELECT p.progress, p.workload_id FROM (
        SELECT r.progress, r.workload_id
          FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            SELECT w.resting_progress AS progress, w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND (w.resting_progress, w.workload_id) > (:after::int, :after_id)
             ORDER BY w.resting_progress, w.workload_id LIMIT :reach) r
        UNION ALL
        SELECT w.progress_percent, w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
           AND (w.progress_percent, w.workload_id) > (:after::int, :after_id)
    ) p
     ORDER BY 1, 2 LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.progress, p.workload_id;

-- name: by_progress_down(customer_id, statuses, types, status, workload_type, before, before_id, reach, most, skip)
-- By progress, the most first.
WITH page AS (
    SELECT p.progress, p.workload_id FROM (
        SELECT r.progress, r.workload_id
          FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            SELECT w.resting_progress AS progress, w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND (w.resting_progress, w.workload_id) < (:before::int, :before_id)
             ORDER BY w.resting_progress DESC, w.workload_id DESC LIMIT :reach) r
        UNION ALL
        SELECT w.progress_percent, w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
           AND (w.progress_percent, w.workload_id) < (:before::int, :before_id)
    ) p
     ORDER BY 1 DESC, 2 DESC LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.progress DESC, p.workload_id DESC;

-- name: by_start_up(customer_id, statuses, types, status, workload_type, after, after_id, unset_after_id, reach, most, skip)
-- By start, the earliest first, then those that never started.
WITH page AS (
    SELECT p.at, p.workload_id FROM (
        SELECT r.at, r.workload_id
          FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            (SELECT w.started_at AS at, w.workload_id FROM workloads w
              WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
                AND w.workload_type = s.workload_type AND (w.started_at, w.workload_id) > (:after::timestamptz, :after_id)
              ORDER BY w.started_at, w.workload_id LIMIT :reach)
            UNION ALL
            (SELECT w.started_at, w.workload_id FROM workloads w
              WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
                AND w.workload_type = s.workload_type AND w.started_at IS NULL AND w.workload_id > :unset_after_id
              ORDER BY w.started_at, w.workload_id LIMIT :reach)) r
        UNION ALL
        SELECT w.started_at, w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
           AND CASE WHEN w.started_at IS NULL THEN w.workload_id > :unset_after_id
                    ELSE (w.started_at, w.workload_id) > (:after::timestamptz, :after_id) END
    ) p
     ORDER BY 1 NULLS LAST, 2 LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.at NULLS LAST, p.workload_id;

-- name: by_start_down(customer_id, statuses, types, status, workload_type, before, before_id, unset_before_id, reach, most, skip)
-- By start, the latest first, then those that never started.
WITH page AS (
    SELECT p.at, p.workload_id FROM (
        SELECT r.at, r.workload_id
          FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            (SELECT w.started_at AS at, w.workload_id FROM workloads w
              WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
                AND w.workload_type = s.workload_type AND (w.started_at, w.workload_id) < (:before::timestamptz, :before_id)
              ORDER BY w.started_at DESC, w.workload_id DESC LIMIT :reach)
            UNION ALL
            (SELECT w.started_at, w.workload_id FROM workloads w
              WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
                AND w.workload_type = s.workload_type AND w.started_at IS NULL AND w.workload_id < :unset_before_id
              ORDER BY w.started_at DESC, w.workload_id DESC LIMIT :reach)) r
        UNION ALL
        SELECT w.started_at, w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
           AND CASE WHEN w.started_at IS NULL THEN w.workload_id < :unset_before_id
                    ELSE (w.started_at, w.workload_id) < (:before::timestamptz, :before_id) END
    ) p
     ORDER BY 1 DESC NULLS LAST, 2 DESC LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.at DESC NULLS LAST, p.workload_id DESC;

-- name: by_end_up(customer_id, statuses, types, status, workload_type, after, after_id, unset_after_id, reach, most, skip)
-- By end, the earliest first, then those that haven't ended: of a stream either all have an end or none has.
WITH page AS (
    SELECT p.at, p.workload_id FROM (
        SELECT r.at, r.workload_id
          FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            (SELECT w.completed_at AS at, w.workload_id FROM workloads w
              WHERE w.completed_at IS NOT NULL AND w.customer_id = :customer_id AND w.status = s.status
                AND w.workload_type = s.workload_type AND (w.completed_at, w.workload_id) > (:after::timestamptz, :after_id)
              ORDER BY w.completed_at, w.workload_id LIMIT :reach)
            UNION ALL
            (SELECT NULL, w.workload_id FROM workloads w
              WHERE s.status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED')
                AND w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
                AND w.workload_type = s.workload_type AND w.workload_id > :unset_after_id
              ORDER BY w.workload_id LIMIT :reach)) r
        UNION ALL
        SELECT NULL, w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
           AND w.workload_id > :unset_after_id
    ) p
     ORDER BY 1 NULLS LAST, 2 LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.at NULLS LAST, p.workload_id;

-- name: by_end_down(customer_id, statuses, types, status, workload_type, before, before_id, unset_before_id, reach, most, skip)
-- By end, the latest first, then those that haven't ended.
WITH page AS (
    SELECT p.at, p.workload_id FROM (
        SELECT r.at, r.workload_id
          FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            (SELECT w.completed_at AS at, w.workload_id FROM workloads w
              WHERE w.completed_at IS NOT NULL AND w.customer_id = :customer_id AND w.status = s.status
                AND w.workload_type = s.workload_type AND (w.completed_at, w.workload_id) < (:before::timestamptz, :before_id)
              ORDER BY w.completed_at DESC, w.workload_id DESC LIMIT :reach)
            UNION ALL
            (SELECT NULL, w.workload_id FROM workloads w
              WHERE s.status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED')
                AND w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
                AND w.workload_type = s.workload_type AND w.workload_id < :unset_before_id
              ORDER BY w.workload_id DESC LIMIT :reach)) r
        UNION ALL
        SELECT NULL, w.workload_id
          FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
           AND w.workload_id < :unset_before_id
    ) p
     ORDER BY 1 DESC NULLS LAST, 2 DESC LIMIT :most OFFSET :skip
)
SELECT w.* FROM page p JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = p.workload_id
 ORDER BY p.at DESC NULLS LAST, p.workload_id DESC;

-- The next two are for labels. They walk in order of ids what has one label, or, where that is less, what has the status and
-- type, and let through what fits the rest; they look at so many workloads at the most, so that a page costs the same however
-- little fits, and say how far they came. What is looked at is looked up all together, by an array of ids: one after another
-- takes five times as long.

-- name: labelled_up(customer_id, key, value, statuses, types, keys, values, status, workload_type, after_id, below_id, reach, most)^
-- Oldest first. key and value are NULL where the status and type are walked; of these are the arrays, else empty.
WITH near AS MATERIALIZED (
    SELECT p.workload_id FROM (
        (SELECT l.workload_id FROM workload_labels l
          WHERE l.customer_id = :customer_id AND l.key = :key AND l.value = :value
            AND l.workload_id > :after_id AND l.workload_id < :below_id
          ORDER BY l.workload_id LIMIT :reach)
        UNION ALL
        SELECT r.workload_id FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            SELECT w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND w.workload_id > :after_id AND w.workload_id < :below_id
             ORDER BY w.workload_id LIMIT :reach) r
        UNION ALL
        SELECT w.workload_id FROM workloads w
         WHERE :key::text IS NULL AND w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND w.workload_id > :after_id AND w.workload_id < :below_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
    ) p ORDER BY 1 LIMIT :reach
), labelled AS MATERIALIZED (
    SELECT workload_id FROM near WHERE cardinality(:keys::text[]) = 0
    UNION ALL
    SELECT l.workload_id FROM unnest(:keys::text[], :values::text[]) AS f (key, value)
     CROSS JOIN LATERAL (
        SELECT l.workload_id FROM workload_labels l
         WHERE l.customer_id = :customer_id AND l.key = f.key AND l.value = f.value
           AND l.workload_id = ANY(ARRAY(SELECT workload_id FROM near))) l
     GROUP BY l.workload_id HAVING count(*) = cardinality(:keys::text[])
), fit AS MATERIALIZED (
    SELECT w.workload_id FROM workloads w
     WHERE w.customer_id = :customer_id AND w.workload_id = ANY(ARRAY(SELECT workload_id FROM labelled))
       AND (:status::text IS NULL OR w.status = :status)
       AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
     ORDER BY w.workload_id LIMIT :most
)
SELECT ARRAY(SELECT workload_id FROM fit ORDER BY 1) AS ids,
       (SELECT max(workload_id) FROM near HAVING count(*) >= :reach) AS reached;

-- name: labelled_down(customer_id, key, value, statuses, types, keys, values, status, workload_type, before_id, above_id, reach, most)^
-- As `labelled_up`, newest first.
WITH near AS MATERIALIZED (
    SELECT p.workload_id FROM (
        (SELECT l.workload_id FROM workload_labels l
          WHERE l.customer_id = :customer_id AND l.key = :key AND l.value = :value
            AND l.workload_id < :before_id AND l.workload_id > :above_id
          ORDER BY l.workload_id DESC LIMIT :reach)
        UNION ALL
        SELECT r.workload_id FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            SELECT w.workload_id FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND w.workload_id < :before_id AND w.workload_id > :above_id
             ORDER BY w.workload_id DESC LIMIT :reach) r
        UNION ALL
        SELECT w.workload_id FROM workloads w
         WHERE :key::text IS NULL AND w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND w.workload_id < :before_id AND w.workload_id > :above_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
    ) p ORDER BY 1 DESC LIMIT :reach
), labelled AS MATERIALIZED (
    SELECT workload_id FROM near WHERE cardinality(:keys::text[]) = 0
    UNION ALL
    SELECT l.workload_id FROM unnest(:keys::text[], :values::text[]) AS f (key, value)
     CROSS JOIN LATERAL (
        SELECT l.workload_id FROM workload_labels l
         WHERE l.customer_id = :customer_id AND l.key = f.key AND l.value = f.value
           AND l.workload_id = ANY(ARRAY(SELECT workload_id FROM near))) l
     GROUP BY l.workload_id HAVING count(*) = cardinality(:keys::text[])
), fit AS MATERIALIZED (
    SELECT w.workload_id FROM workloads w
     WHERE w.customer_id = :customer_id AND w.workload_id = ANY(ARRAY(SELECT workload_id FROM labelled))
       AND (:status::text IS NULL OR w.status = :status)
       AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
     ORDER BY w.workload_id DESC LIMIT :most
)
SELECT ARRAY(SELECT workload_id FROM fit ORDER BY 1 DESC) AS ids,
       (SELECT min(workload_id) FROM near HAVING count(*) >= :reach) AS reached;

-- name: listed(customer_id, workload_ids)
-- These, in the order given.
SELECT w.* FROM unnest(:workload_ids::text[]) WITH ORDINALITY AS i (workload_id, place)
  JOIN listed_workloads w ON w.customer_id = :customer_id AND w.workload_id = i.workload_id
 ORDER BY i.place;

-- name: count_labels(customer_id, keys, values, above_id, below_id, most)
-- How many workloads in a range of ids have each of these labels, counted no further than most; in the order given.
SELECT (SELECT count(*) FROM (
          SELECT FROM workload_labels l
           WHERE l.customer_id = :customer_id AND l.key = i.key AND l.value = i.value
             AND l.workload_id > :above_id AND l.workload_id < :below_id LIMIT :most) counted) AS total
  FROM unnest(:keys::text[], :values::text[]) WITH ORDINALITY AS i (key, value, place) ORDER BY i.place;

-- name: count_everything(customer_id, above_id, below_id, most)^
-- How many workloads there are in a range of ids, counted no further than most.
SELECT count(*) AS total FROM (
    SELECT FROM workloads
     WHERE customer_id = :customer_id AND workload_id > :above_id AND workload_id < :below_id LIMIT :most) counted;

-- name: count_streams(customer_id, statuses, types, above_id, below_id, status, workload_type, most)^
-- How many the filters let through, counted no further than most.
SELECT count(*) AS total FROM (
    SELECT FROM (
        SELECT FROM workloads w WHERE w.incarnation IS NOT NULL AND w.customer_id = :customer_id
           AND w.workload_id > :above_id AND w.workload_id < :below_id
           AND (:status::text IS NULL OR w.status = :status) AND (:workload_type::text IS NULL OR w.workload_type = :workload_type)
        UNION ALL
        SELECT FROM unnest(:statuses::text[], :types::text[]) AS s (status, workload_type)
         CROSS JOIN LATERAL (
            SELECT FROM workloads w
             WHERE w.incarnation IS NULL AND w.customer_id = :customer_id AND w.status = s.status
               AND w.workload_type = s.workload_type AND w.workload_id > :above_id AND w.workload_id < :below_id
             LIMIT :most) r
    ) every LIMIT :most) counted;

-- name: upper_bounds(customer_id, workload_type, since, until)^
-- No filter lets more through than this: of the hours from one time to another, since the oldest workload that is still
-- there, what was created, what ended how, and what hasn't ended. Exact as long as retention has deleted nothing from these hours.
SELECT coalesce(sum(created), 0) AS created, coalesce(sum(completed), 0) AS completed,
       coalesce(sum(failed), 0) AS failed, coalesce(sum(cancelled), 0) AS cancelled
  FROM workload_hours
 WHERE customer_id = :customer_id AND (:workload_type::text IS NULL OR workload_type = :workload_type)
   AND hour >= date_trunc('hour', :since::timestamptz, 'UTC') AND hour <= :until::timestamptz
   AND hour >= (SELECT date_trunc('hour', created_at, 'UTC') FROM workloads
                 WHERE customer_id = :customer_id ORDER BY workload_id LIMIT 1);

-- name: bound_time(milliseconds)
-- Bounds every statement until the transaction ends.
SELECT set_config('statement_timeout', :milliseconds, true);
