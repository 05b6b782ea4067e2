-- How it stands, for status, metrics and readiness. Every count is bounded: with five million rows it must answer as
-- with five thousand.

-- name: waiting
-- Per channel, of the earliest that are due and not claimed: how many could go out now and the age of the oldest of
-- those in seconds, and how many cannot, because a pause holds them or nobody serves the channel. Then those scheduled
-- for later. Pauses are asked of each message only while there is one.
WITH paused AS MATERIALIZED (
    SELECT p.scope_key, p.due_before FROM fleet.pauses p WHERE p.until IS NULL OR p.until > fleet.now()
)
SELECT wanted.channel, due.messages, due.oldest_seconds, due.held, later.messages
FROM unnest(%(channels)s::text[], %(providers)s::text[], %(served)s::boolean[]) AS wanted (channel, provider, is_served)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE NOT taken.is_held) AS messages,
        count(*) FILTER (WHERE taken.is_held) AS held,
        coalesce(extract(epoch FROM fleet.now()) - extract(epoch FROM min(taken.due) FILTER (WHERE NOT taken.is_held)), 0)::float8
            AS oldest_seconds
    FROM (
        SELECT each.due,
            NOT wanted.is_served OR ((SELECT count(*) FROM paused) > 0 AND EXISTS (
                SELECT
                FROM paused p
                WHERE p.scope_key = ANY (fleet.scope_keys(wanted.channel, coalesce(each.provider, wanted.provider), each.workspace_id, each.campaign_id))
                  AND (p.due_before IS NULL OR each.due < p.due_before)
            )) AS is_held
        FROM (VALUES (0), (1), (2)) AS bands (band)
        CROSS JOIN LATERAL (
            SELECT coalesce(o.scheduled_at, o.created_at) AS due, o.provider::text AS provider,
                coalesce(o.workspace_id, o.tenant_id) AS workspace_id, o.campaign_id
            FROM public.channel_outbox o
            WHERE o.status = 'scheduled'
              AND o.channel::text = wanted.channel
              AND CASE WHEN o.priority > 0 THEN 0 WHEN o.priority < 0 THEN 2 ELSE 1 END = bands.band
              AND coalesce(o.scheduled_at, o.created_at) <= fleet.now()
            ORDER BY coalesce(o.scheduled_at, o.created_at)
            LIMIT %(limit)s
        ) AS each
    ) AS taken
) AS due
CROSS JOIN LATERAL (
    SELECT count(*) AS messages
    FROM (
        SELECT
        FROM (VALUES (0), (1), (2)) AS bands (band)
        CROSS JOIN LATERAL (
            SELECT
            FROM public.channel_outbox o
            WHERE o.status = 'scheduled'
              AND o.channel::text = wanted.channel
              AND CASE WHEN o.priority > 0 THEN 0 WHEN o.priority < 0 THEN 2 ELSE 1 END = bands.band
              AND coalesce(o.scheduled_at, o.created_at) > fleet.now()
            LIMIT %(limit)s
        ) AS each
    ) AS taken
) AS later

-- name: under_way
-- Per channel and status: messages between their claim and their end.
SELECT taken.channel, taken.status, count(*)
FROM (
    (SELECT o.channel::text AS channel, 'queued' AS status FROM public.channel_outbox o WHERE o.status = 'queued' LIMIT %(limit)s)
    UNION ALL
    (SELECT o.channel::text, 'sending' FROM public.channel_outbox o WHERE o.status = 'sending' LIMIT %(limit)s)
    UNION ALL
    (SELECT o.channel::text, 'unknown' FROM public.channel_outbox o WHERE o.status = 'unknown' LIMIT %(limit)s)
) AS taken
GROUP BY taken.channel, taken.status

-- name: ended
-- Per channel and status: what became of the newest messages that were made in the last day.
SELECT taken.channel, taken.status, count(*)
FROM (
    SELECT o.channel::text AS channel, o.status::text AS status
    FROM public.channel_outbox o
    WHERE coalesce(o.created_at, '-infinity') > fleet.now() - interval '24 hours'
    ORDER BY coalesce(o.created_at, '-infinity') DESC
    LIMIT %(limit)s
) AS taken
WHERE taken.status IN ('sent', 'delivered', 'failed', 'cancelled', 'suppressed')
GROUP BY taken.channel, taken.status

-- name: strays
-- Statuses that no version of the fleet knows, by a skip scan: such messages wait for ever, unless somebody is told.
WITH RECURSIVE statuses (status) AS (
    (SELECT o.status FROM public.channel_outbox o WHERE o.status IS NOT NULL ORDER BY o.status LIMIT 1)
    UNION ALL
    SELECT (SELECT o.status FROM public.channel_outbox o WHERE o.status > s.status ORDER BY o.status LIMIT 1)
    FROM statuses s
    WHERE s.status IS NOT NULL
)
SELECT status::text FROM statuses WHERE status::text <> ALL (%(known)s::text[])
UNION ALL
(SELECT '(empty)' FROM public.channel_outbox o WHERE o.status IS NULL LIMIT 1)

-- name: attempts
-- Requests of the last five minutes, per provider and outcome.
SELECT a.provider, a.outcome, count(*)
FROM fleet.attempts a
WHERE a.finished_at > fleet.now() - interval '5 minutes'
GROUP BY a.provider, a.outcome

-- name: rates
-- Per channel: messages that vendors accepted in the last minute, counted up to the limit over all channels.
SELECT taken.channel, count(*)
FROM (
    SELECT o.channel::text AS channel
    FROM fleet.attempts a
    JOIN public.channel_outbox o ON o.id = a.message_id
    WHERE a.finished_at > fleet.now() - interval '1 minute' AND a.outcome = 'accepted'
    LIMIT %(limit)s
) AS taken
GROUP BY taken.channel

-- name: events
-- Events that are not applied: those that wait for their message, and those that were given up for a person to see.
SELECT taken.state, count(*)
FROM (
    (SELECT 'waiting' AS state FROM fleet.events e WHERE e.applied_at IS NULL AND e.next_try_at IS NOT NULL LIMIT %(limit)s)
    UNION ALL
    (SELECT 'given_up' FROM fleet.events e WHERE e.applied_at IS NULL AND e.next_try_at IS NULL LIMIT %(limit)s)
) AS taken
GROUP BY taken.state

-- name: duplicates
SELECT count(*) FROM fleet.audit_log l WHERE l.action = 'duplicate'

-- name: workers
SELECT unnest(w.queues) AS queue, count(*), sum(w.in_flight)
FROM fleet.workers w
WHERE w.seen_at > fleet.now() - make_interval(secs => %(seconds)s)
GROUP BY queue

-- name: pauses
SELECT p.scope_key, p.kind, p.reason, p.created_by, p.created_at, p.until, p.due_before
FROM fleet.pauses p
WHERE p.until IS NULL OR p.until > fleet.now()
ORDER BY p.created_at

-- name: halts
SELECT a.provider, a.tenant_id, a.halted_at, a.halted_until, a.halted_code, a.halted_reason
FROM fleet.accounts a
WHERE a.halted_until > fleet.now()
ORDER BY a.halted_at
LIMIT 100

-- name: jobs
SELECT taken.status, count(*)
FROM (
    SELECT j.status::text AS status
    FROM public.job_queue j
    WHERE j.status IN ('pending', 'running') AND j.job_type::text = ANY (%(types)s::text[])
    LIMIT %(limit)s
) AS taken
GROUP BY taken.status
