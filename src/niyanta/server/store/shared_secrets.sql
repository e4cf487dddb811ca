-- name: shared_secret(name)^
-- One key, by its name.
SELECT value FROM shared_secrets WHERE name = :name;
