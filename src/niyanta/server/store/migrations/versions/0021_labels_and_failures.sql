-- Labels of workloads, and what their failures have in common.
-- The release before this one knows nothing of it: a workload that it deletes leaves its rows here behind, which no list shows.
SET LOCAL lock_timeout = '5s';
CREATE TABLE workload_labels (
    customer_id text COLLATE "C" NOT NULL,
    workload_id text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    value       text COLLATE "C" NOT NULL,
    PRIMARY KEY (customer_id, workload_id, key)
);
CREATE INDEX workload_labels_by_value ON workload_labels (customer_id, key, value, workload_id);
COMMENT ON TABLE workload_labels IS 'What lists find workloads by: labels, written with them; of one that FAILED the fingerprint of its error (ADR 0033)';
COMMENT ON COLUMN workload_labels.key IS 'Of a label; empty, as none of theirs may be, for the fingerprint';

CREATE TABLE failure_hours (
    customer_id   text COLLATE "C" NOT NULL,
    hour          timestamptz NOT NULL,
    fingerprint   text COLLATE "C" NOT NULL,
    workload_type text COLLATE "C" NOT NULL,
    failed        integer NOT NULL,
    first_at      timestamptz NOT NULL,
    last_at       timestamptz NOT NULL,
    message       text NOT NULL,
    PRIMARY KEY (customer_id, hour, fingerprint, workload_type)
) WITH (fillfactor = 50);
COMMENT ON TABLE failure_hours IS 'How many workloads FAILED in an hour (UTC), by the fingerprint of their errors; written with the move (ADR 0033)';
COMMENT ON COLUMN failure_hours.message IS 'Of the last of them';

CREATE VIEW listed_workloads AS
SELECT customer_id, workload_id, workload_type, status, priority, progress_percent, created_at, started_at, completed_at,
       version, retry_count, worker_id,
       (SELECT json_object_agg(l.key, l.value ORDER BY l.key) FROM workload_labels l
         WHERE l.customer_id = w.customer_id AND l.workload_id = w.workload_id AND l.key > '') AS labels
  FROM workloads w;
COMMENT ON VIEW listed_workloads IS 'A workload as lists show it; takes the place of workload_summaries';
