-- The roles, which belong to the whole PostgreSQL server. Run by somebody who may create roles; as often as one likes.
--
-- niyanta_coordinator  coordinators: they read and write rows, and own nothing
-- niyanta_customer     what a coordinator turns into while it serves one customer: that customer's rows are all there is
-- niyanta_reporting    reports and consoles: the views in the schema `reporting`
--
-- None can log in until it is given a password. Whoever logs in otherwise is made a member:
-- GRANT niyanta_coordinator TO somebody;
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['niyanta_coordinator', 'niyanta_customer', 'niyanta_reporting'] LOOP
        IF to_regrole(wanted) IS NULL THEN
            EXECUTE format('CREATE ROLE %I', wanted);
        END IF;
    END LOOP;
    IF NOT pg_has_role('niyanta_coordinator', 'niyanta_customer', 'MEMBER') THEN
        GRANT niyanta_customer TO niyanta_coordinator;
    END IF;
END $$;
