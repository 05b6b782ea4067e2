-- Pauses and holds: what people say must not go out. Starts and claims obey them (starts.sql, claims.sql); a cancel's
-- marks and the hold of an adoption stand in the same table and have statements of their own.

-- name: pause
-- From its commit on no start of the scope passes, and no relay claims of it.
WITH paused AS (
    INSERT INTO fleet.pauses (scope_key, kind, reason, created_by, created_at, until)
    VALUES (%(scope_key)s, %(kind)s, %(reason)s, %(actor)s, fleet.now(), %(until)s)
)
INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
VALUES (
    %(actor)s, %(kind)s, %(workspace_id)s, %(scope_key)s,
    jsonb_build_object('reason', %(reason)s::text, 'until', %(until)s::timestamptz)
)
RETURNING id

-- name: resume
-- Ends what stands of one kind on exactly this scope. 0: nothing stood; the scope may still be held by a wider one.
WITH ended AS (
    UPDATE fleet.pauses p
    SET until = fleet.now()
    WHERE p.scope_key = %(scope_key)s AND p.kind = %(kind)s AND (p.until IS NULL OR p.until > fleet.now())
    RETURNING p.id
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
    SELECT %(actor)s, %(action)s, %(workspace_id)s, %(scope_key)s, jsonb_build_object('reason', %(reason)s::text)
    FROM ended
    LIMIT 1
)
SELECT count(*) FROM ended

-- name: standing
-- The scopes of which nothing may leave at this moment.
SELECT p.scope_key
FROM fleet.pauses p
WHERE coalesce(p.until, 'infinity'::timestamptz) > fleet.now() AND p.due_before IS NULL
