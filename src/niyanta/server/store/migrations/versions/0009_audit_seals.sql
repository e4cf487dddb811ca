-- Seals over the audit events: each event gets a number, by which what is to be sealed is found and ordered.
-- The release before this one names the columns that it writes, so its events get numbers, too.
SET LOCAL lock_timeout = '5s';
CREATE SEQUENCE audit_entry_numbers;
-- In two steps: with its default at once the column would be written into every row that there is.
ALTER TABLE audit_events ADD COLUMN entry_number bigint;
ALTER TABLE audit_events ALTER COLUMN entry_number SET DEFAULT
    CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('audit_entry_numbers') END;
COMMENT ON COLUMN audit_events.entry_number IS
    'Orders events for sealing (ADR 0027); NULL: written before there were seals. Taken only by who has a transaction id';

CREATE TABLE audit_seals (
    customer_id       text COLLATE "C" NOT NULL,
    sequence          bigint NOT NULL CHECK (sequence > 0),
    month             date NOT NULL,
    entries_after     bigint NOT NULL,
    entries_to        bigint NOT NULL CHECK (entries_to > entries_after),
    event_count       integer NOT NULL CHECK (event_count > 0),
    events_total      bigint NOT NULL CHECK (events_total >= event_count),
    content_sha256    bytea NOT NULL CHECK (length(content_sha256) = 32),
    manifest          text NOT NULL,
    previous_hash     bytea NOT NULL CHECK (length(previous_hash) = 32),
    previous_at       timestamptz,
    hash              bytea NOT NULL CHECK (length(hash) = 32),
    key_id            text,
    sealed_at         timestamptz NOT NULL CHECK (sealed_at >= previous_at),
    PRIMARY KEY (customer_id, sequence, sealed_at)
) PARTITION BY RANGE (sealed_at);
COMMENT ON TABLE audit_seals IS
    'A seal holds all of a customer''s events of one month whose numbers are after entries_after, up to entries_to';
COMMENT ON COLUMN audit_seals.manifest IS 'A line for each event in order: workload, event_id, how its SHA-256 begins';
COMMENT ON COLUMN audit_seals.key_id IS 'Of the key that the hash was made with; NULL: a plain SHA-256';
CREATE TRIGGER seals_are_append_only BEFORE UPDATE OR DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
SELECT make_partitions('audit_seals', 'month', now(), '2 months');

CREATE TABLE audit_heads (
    customer_id  text COLLATE "C" PRIMARY KEY,
    sequence     bigint NOT NULL,
    events_total bigint NOT NULL,
    hash         bytea NOT NULL CHECK (length(hash) = 32),
    sealed_at    timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE audit_heads IS 'The newest seal of each customer, which outlives the seals';

CREATE TABLE audit_sealing (
    one_row     boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    sealed_to   bigint NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    exported_at timestamptz
) WITH (fillfactor = 20);
COMMENT ON COLUMN audit_sealing.sealed_to IS 'Every event with a number up to this is sealed';
INSERT INTO audit_sealing (sealed_to) VALUES (0);
