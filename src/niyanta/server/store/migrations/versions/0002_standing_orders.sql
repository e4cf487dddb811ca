-- What an operator has ordered for a worker's id holds over its restarts, until it is taken back. The release before
-- this one doesn't know the columns: it neither sets nor obeys them.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workers
    ADD COLUMN standing_order text COLLATE "C" CHECK (standing_order IN ('drain', 'remove')),
    ADD COLUMN ordered_by     text,
    ADD COLUMN ordered_at     timestamptz;
COMMENT ON COLUMN workers.standing_order IS 'drain: registers, but gets nothing new; remove: may not register. NULL: as it likes';
