-- What workloads are forks of.
-- The release before this one shows a fork as a workload of no lineage, and makes none.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workload_origins
    ADD COLUMN forked_from text COLLATE "C",
    ALTER COLUMN replayed_from DROP NOT NULL,
    ADD CONSTRAINT one_origin CHECK (num_nonnulls(replayed_from, forked_from) = 1) NOT VALID;
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_operation_check;
ALTER TABLE idempotency_keys ADD CONSTRAINT idempotency_keys_operation_check
  CHECK (operation IN ('submit', 'submit_batch', 'replay', 'replay_batch', 'fork')) NOT VALID;
COMMENT ON TABLE workload_origins IS 'Of the workloads that are replays or forks, what of; written with them';
