-- A removed worker's own word that it has stopped everything.
-- The release before this one neither sets nor heeds the column: it moves exclusive work of a removed worker at once.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workers ADD COLUMN has_stopped boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN workers.has_stopped IS 'Of a removed worker: it has said that nothing of it runs any more';
