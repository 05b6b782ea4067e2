-- Whether this database is the one that the fleet was told to send from (see migrations, identity).

-- name: is_recognised
SELECT fleet.is_recognised()

-- name: restored
-- From its commit on this database is the one. What was due until now may have gone out after the backup was made, or
-- from the original: it waits under a hold as at an adoption, in the same transaction, so that no claim comes between.
WITH said AS (
    UPDATE fleet.identity i
    SET system_identifier = c.system_identifier,
        database_oid = d.oid,
        table_oid = 'fleet.identity'::regclass,
        said_by = %(actor)s,
        said_at = fleet.now()
    FROM pg_control_system() c
    JOIN pg_database d ON d.datname = current_database()
),
held AS (
    INSERT INTO fleet.pauses (scope_key, kind, due_before, reason, created_by, created_at)
    SELECT 'everything', 'adoption', fleet.now(), %(reason)s, %(actor)s, fleet.now()
    WHERE %(hold)s
)
INSERT INTO fleet.audit_log (actor, action, subject, detail)
VALUES (%(actor)s, 'restored', current_database(), jsonb_build_object('held', %(hold)s::boolean))
RETURNING id
