-- Checkpoints that are kept for good, and the workers that saved them.
-- The release before this one drops pinned checkpoints like others: pins hold once its last coordinator has gone
-- (docs/operations.md). It writes checkpoints without their worker.
SET LOCAL lock_timeout = '5s';
ALTER TABLE checkpoints
    ADD COLUMN pinned boolean NOT NULL DEFAULT false,
    ADD COLUMN worker_id text;
COMMENT ON COLUMN checkpoints.pinned IS 'Its customer wants it kept, however many come after it';
COMMENT ON COLUMN checkpoints.worker_id IS 'That saved it; NULL: by a release that did not note it';
