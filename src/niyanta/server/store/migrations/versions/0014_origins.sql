-- What workloads are replays of.
-- The release before this one knows nothing of it: a workload that it deletes leaves its row here behind, which nobody reads.
SET LOCAL lock_timeout = '5s';
CREATE TABLE workload_origins (
    customer_id     text COLLATE "C" NOT NULL,
    workload_id     text COLLATE "C" NOT NULL,
    replayed_from   text COLLATE "C" NOT NULL,
    from_checkpoint integer CHECK (from_checkpoint > 0),
    PRIMARY KEY (customer_id, workload_id)
);
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_operation_check;
ALTER TABLE idempotency_keys ADD CONSTRAINT idempotency_keys_operation_check
  CHECK (operation IN ('submit', 'submit_batch', 'replay', 'replay_batch')) NOT VALID;
COMMENT ON TABLE workload_origins IS 'Of the workloads that are replays, what of; written with them';
COMMENT ON COLUMN workload_origins.from_checkpoint IS 'The sequence of the original''s checkpoint at which it began; NULL: at the start';
