-- What the roles may do in this database. Run by the owner of its schema, after each migration, as often as one likes.
-- A new table needs its line here: coordinators can't touch it otherwise.
BEGIN;
SET LOCAL lock_timeout = '5s';
DO $$
DECLARE
    schema   text := current_schema();
    readable text;
BEGIN
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', schema);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO niyanta_coordinator, niyanta_customer, niyanta_reporting', schema);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM niyanta_coordinator, niyanta_customer', schema);
    FOR readable IN
        SELECT relname FROM pg_class
         WHERE relnamespace = schema::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
           AND relname !~ '_p[0-9]{8}$'
    LOOP
        EXECUTE format('GRANT SELECT ON %I TO niyanta_coordinator', readable);
    END LOOP;
END $$;

-- Coordinators. To what has happened (audit_events and their seals, workload_logs) they can only add.
GRANT INSERT ON audit_events, audit_seals, workload_logs TO niyanta_coordinator;
GRANT INSERT, DELETE ON workload_origins, workload_labels, drained_workloads TO niyanta_coordinator;
GRANT USAGE, SELECT ON SEQUENCE audit_entry_numbers TO niyanta_coordinator;
GRANT UPDATE ON leader_lease, audit_sealing TO niyanta_coordinator;
GRANT INSERT, UPDATE, DELETE ON failure_hours TO niyanta_coordinator;
GRANT INSERT, UPDATE ON customers, customer_usage, workload_hours, rate_buckets, join_tokens, audit_heads
    TO niyanta_coordinator;
GRANT INSERT, UPDATE, DELETE ON api_keys, sign_ins, workload_configs, workloads, workers, checkpoints, idempotency_keys TO niyanta_coordinator;
-- To lock rows by these views takes the right to change a column; this one is never written.
GRANT UPDATE (workload_id) ON workload_states, traced_workload_states TO niyanta_coordinator;
GRANT EXECUTE ON FUNCTION make_partitions, drop_expired_partition TO niyanta_coordinator;

-- One customer. To lock the row of its counts, while it changes a config, takes the right to change a column of it.
GRANT SELECT ON customers, customer_usage, workload_configs, workloads, workload_hours, workload_logs, audit_events, checkpoints,
                workload_origins, workload_labels, failure_hours, workload_summaries, listed_workloads, workload_states TO niyanta_customer;
GRANT INSERT, UPDATE, DELETE ON workload_configs TO niyanta_customer;
GRANT UPDATE (customer_id) ON customer_usage TO niyanta_customer;

GRANT USAGE ON SCHEMA reporting TO niyanta_reporting;
GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO niyanta_reporting;

-- Row-level security: every table with a customer_id lets niyanta_customer see, and write, the rows of the one that
-- the session has set, and nothing where none is set. Views do as their reader's role does. Reports see all that they are
-- granted. The owner sees all.
DO $$
DECLARE
    relation text;
    wanted   record;
BEGIN
    FOR relation IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'customer_id'
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname !~ '_p[0-9]{8}$'
    LOOP
        IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = relation::regclass) THEN
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', relation);
        END IF;
        FOR wanted IN
            SELECT * FROM (VALUES
                ('niyanta_all', 'niyanta_coordinator, niyanta_reporting', 'true'),
                ('niyanta_own', 'niyanta_customer', $own$customer_id = current_setting('niyanta.customer_id', true)$own$)
            ) AS policies (name, roles, condition)
             WHERE NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = relation::regclass AND polname = policies.name)
        LOOP
            EXECUTE format('CREATE POLICY %I ON %I TO %s USING (%s)', wanted.name, relation, wanted.roles, wanted.condition);
        END LOOP;
    END LOOP;
    FOR relation IN
        SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'v'
           AND NOT coalesce(reloptions @> ARRAY['security_invoker=true'], false)
    LOOP
        EXECUTE format('ALTER VIEW %I SET (security_invoker = true)', relation);
    END LOOP;
END $$;
COMMIT;
