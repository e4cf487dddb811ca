-- name: durability()^
-- Whether PostgreSQL keeps what it acknowledges.
SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit;

-- name: standing()^
-- In which role this session works, what that is beyond what a coordinator needs, and whether row-level security hides the other
-- customers from what is done for one.
SELECT current_user::text AS role,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
       coalesce((SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('workloads')), false)
           AS owns_schema,
       coalesce(pg_has_role(current_user, to_regrole('niyanta_customer')::oid, 'MEMBER'), false)
           AND EXISTS (SELECT FROM pg_policy JOIN pg_class c ON c.oid = polrelid
                        WHERE polrelid = to_regclass('workloads') AND polname = 'niyanta_own' AND c.relrowsecurity)
           AS hides_others;

-- name: show_only(customer_id)!
-- Until it is called again, row-level security lets the session see this customer only; nobody, when it is empty.
SELECT set_config('niyanta.customer_id', :customer_id, false);
