-- Drains that move what runs, and what they found.
-- The release before this one drains by letting everything finish: it neither sets nor heeds the mode, and notes nothing.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workers ADD COLUMN drain_mode text COLLATE "C" CHECK (drain_mode IN ('finish', 'move'));
COMMENT ON COLUMN workers.drain_mode IS 'Of a standing drain: what becomes of what it runs. NULL: it finishes';
CREATE TABLE drained_workloads (
    customer_id text COLLATE "C" NOT NULL,
    workload_id text COLLATE "C" NOT NULL,
    generation  integer NOT NULL CHECK (generation > 0),
    worker_id   text NOT NULL,
    noted_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, workload_id, generation)
);
CREATE INDEX drained_workloads_by_worker ON drained_workloads (worker_id);
COMMENT ON TABLE drained_workloads IS 'Attempts that drained workers had when an operator drained them, or soon after; kept until the drain is taken back';
