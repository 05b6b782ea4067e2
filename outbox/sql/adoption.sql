-- The hold under which a live database is adopted, or one that was restored. Several may stand: the widest holds what the
-- others do.

-- name: held
-- Why messages are held, and how many: also those that are due later, where the hold holds everything. No row: nothing
-- is held.
SELECT standing.reasons, (
    SELECT count(*)
    FROM (
        SELECT
        FROM public.channel_outbox o
        WHERE o.status = 'scheduled' AND coalesce(o.scheduled_at, o.created_at) < standing.due_before
        LIMIT %(limit)s
    ) AS taken
)
FROM (
    SELECT string_agg(DISTINCT p.reason, '; ') AS reasons, max(p.due_before) AS due_before
    FROM fleet.pauses p
    WHERE p.kind = 'adoption' AND (p.until IS NULL OR p.until > fleet.now())
    HAVING count(*) > 0
) AS standing

-- name: release
WITH released AS (
    UPDATE fleet.pauses p
    SET until = fleet.now()
    WHERE p.kind = 'adoption' AND (p.until IS NULL OR p.until > fleet.now())
    RETURNING p.id, p.reason
)
INSERT INTO fleet.audit_log (actor, action, subject, detail)
SELECT %(actor)s, 'adopt', r.id::text, jsonb_build_object('reason', r.reason)
FROM released r
RETURNING id

-- name: cancel_some
-- scheduled -> cancelled, of what the hold holds. No row: nothing of it is left. What somebody has locked is waited
-- for: left out, it would go out when the hold ends.
WITH chosen AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    WHERE o.status = 'scheduled'
      AND coalesce(o.scheduled_at, o.created_at) < (
          SELECT max(p.due_before)
          FROM fleet.pauses p
          WHERE p.kind = 'adoption' AND (p.until IS NULL OR p.until > fleet.now())
      )
    ORDER BY o.id
    LIMIT %(limit)s
    FOR UPDATE OF o
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, detail)
    SELECT %(actor)s, 'cancel', jsonb_build_object('messages', count(*), 'held for', 'adoption')
    FROM chosen c
    HAVING count(*) > 0
)
UPDATE public.channel_outbox o
SET status = 'cancelled', finalized_at = fleet.now(), updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT c.id FROM chosen c)) AND o.status = 'scheduled'
RETURNING o.id
