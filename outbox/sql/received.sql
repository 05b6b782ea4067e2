-- What support asks of the events: what came in lately, what waits or was given up, and to apply some of them again.

-- name: counts
-- By provider and kind, of the last %(limit)s events that came in since a moment: an id is as old as its event, so the
-- newest are read without an index of their own. No row: nothing came in.
SELECT e.provider, e.kind, count(*), count(*) FILTER (WHERE e.applied_at IS NOT NULL),
    count(*) FILTER (WHERE e.applied_at IS NULL AND e.next_try_at IS NOT NULL),
    count(*) FILTER (WHERE e.applied_at IS NULL AND e.next_try_at IS NULL), max(e.received_at)
FROM (
    SELECT x.provider, x.kind, x.applied_at, x.next_try_at, x.received_at
    FROM fleet.events x
    ORDER BY x.id DESC
    LIMIT %(limit)s
) AS e
WHERE e.received_at >= %(since)s AND (%(provider)s::text IS NULL OR e.provider = %(provider)s)
GROUP BY e.provider, e.kind
ORDER BY e.provider, e.kind

-- name: has_more
-- Is the newest of the events that were not looked at since that moment as well? No row: all were looked at.
SELECT e.received_at >= %(since)s
FROM fleet.events e
ORDER BY e.id DESC
OFFSET %(limit)s
LIMIT 1

-- name: unapplied
-- Those given up first, then those that wait longest still. No row: nothing that matches is unapplied.
SELECT e.id, e.provider, e.kind, e.provider_message_id, e.address, e.received_at, e.tries, e.next_try_at
FROM fleet.events e
WHERE e.applied_at IS NULL AND (%(since)s::timestamptz IS NULL OR e.received_at >= %(since)s)
  AND (%(provider)s::text IS NULL OR e.provider = %(provider)s)
ORDER BY e.next_try_at DESC NULLS FIRST
LIMIT %(limit)s

-- name: chosen
-- The next ids after one, in order, of what is to be applied again. No row: that was all.
SELECT e.id
FROM fleet.events e
WHERE e.id > %(after)s AND (%(applied)s OR e.applied_at IS NULL)
  AND (%(ids)s::bigint[] IS NULL OR e.id = ANY (%(ids)s::bigint[]))
  AND (%(provider)s::text IS NULL OR e.provider = %(provider)s)
  AND (%(since)s::timestamptz IS NULL OR e.received_at >= %(since)s)
  AND (NOT %(given_up)s OR (e.applied_at IS NULL AND e.next_try_at IS NULL))
ORDER BY e.id
LIMIT %(limit)s

-- name: replay
-- waiting or given up (or applied, where that is asked for) -> due now, with all its tries before it. No row for an event:
-- it was applied meanwhile, or is gone.
WITH locked AS MATERIALIZED (
    SELECT e.id
    FROM fleet.events e
    WHERE e.id = ANY (%(ids)s::bigint[]) AND (%(applied)s OR e.applied_at IS NULL)
    ORDER BY e.id
    FOR UPDATE OF e
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, subject, detail)
    SELECT %(actor)s, 'replay_events', CASE count(*) WHEN 1 THEN min(l.id)::text END, jsonb_build_object('events', count(*))
    FROM locked l
    HAVING count(*) > 0
)
UPDATE fleet.events e
SET applied_at = NULL, next_try_at = fleet.now(), tries = 0
WHERE e.id = ANY (ARRAY(SELECT l.id FROM locked l))
RETURNING e.id
