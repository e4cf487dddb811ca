-- A workload remembers who asked for its last pause.
-- The release before this one neither sets nor reads the column: of a pause that was asked of it nobody knows who asked.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workloads ADD COLUMN paused_by text;
COMMENT ON COLUMN workloads.paused_by IS 'Who asked for the last pause: an API key''s id or a token''s subject; NULL before the first';
