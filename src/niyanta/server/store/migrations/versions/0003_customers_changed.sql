-- When a customer last changed, so that replicas read what changed and not all of them. A trigger keeps it, as the release
-- before this one updates customers without knowing the column.
SET LOCAL lock_timeout = '5s';
ALTER TABLE customers ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX customers_by_change ON customers (changed_at);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER customers_note_change BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION note_change();
COMMENT ON COLUMN customers.changed_at IS 'Set within the transaction that commits later: who reads by it looks back for longer than a transaction may last';
