-- The relay's statements: which messages are due, who has claimed them, and how a claim ends without a start.

-- name: claim
-- scheduled -> queued, at most %(limit)s rows of one channel, urgent band first, then the earliest due. No row: nothing
-- is due, or all that is due is paused or claimed by another relay in this moment, or this database is a copy.
-- Three short index ranges instead of one: in a single range by band, messages due next year in the urgent band would
-- be read over and over before today's normal ones are found.
-- The channel is compared before it is used as text: so it takes the column's own type, which may be an enum, and the
-- comparison keeps its index.
-- Pauses of everything and of the channel are asked first, because they end a range before any row is read; the rest is
-- asked of each row in the words of a start, so that nothing is claimed that the start would put back. So is a halt of a
-- tenant's own account, which the worker would put back. IS TRUE keeps both from becoming joins, which would lose the
-- order of the index: then all that is due would be read and sorted for each claim.
-- The first claim fixes the message's end by its channel's late policy, so that retries and put-offs do not move it.
-- Second column: whether it has a bundle of its own, because a worker crashed over it.
WITH due AS MATERIALIZED (
    SELECT o.id
    FROM (SELECT WHERE (SELECT fleet.is_recognised())) AS ours
    CROSS JOIN (VALUES (0), (1), (2)) AS bands (band)
    CROSS JOIN LATERAL (
        SELECT o.id
        FROM public.channel_outbox o
        WHERE o.status = 'scheduled'
          AND o.channel = %(channel)s
          AND CASE WHEN o.priority > 0 THEN 0 WHEN o.priority < 0 THEN 2 ELSE 1 END = bands.band
          AND coalesce(o.scheduled_at, o.created_at) <= fleet.now()
          AND coalesce(o.scheduled_at, o.created_at) >= (
              SELECT coalesce(max(coalesce(p.due_before, 'infinity')), '-infinity')
              FROM fleet.pauses p
              WHERE p.scope_key IN ('everything', 'channel:' || %(channel)s::text)
                AND (p.until IS NULL OR p.until > fleet.now())
          )
          AND (NOT EXISTS (
              SELECT
              FROM fleet.pauses p
              WHERE p.scope_key = ANY (fleet.scope_keys(o.channel::text, coalesce(o.provider::text, %(provider)s), coalesce(o.workspace_id, o.tenant_id), o.campaign_id))
                AND (p.until IS NULL OR p.until > fleet.now())
                AND (p.due_before IS NULL OR coalesce(o.scheduled_at, o.created_at) < p.due_before)
          )) IS TRUE
          AND (NOT EXISTS (
              SELECT
              FROM fleet.accounts a
              WHERE a.tenant_id = coalesce(o.tenant_id, o.workspace_id) AND a.provider = coalesce(o.provider::text, %(provider)s)
                AND a.halted_until > fleet.now()
          )) IS TRUE
        ORDER BY coalesce(o.scheduled_at, o.created_at)
        LIMIT %(limit)s
        FOR UPDATE OF o SKIP LOCKED
    ) AS o
    LIMIT %(limit)s
)
UPDATE public.channel_outbox o
SET status = 'queued',
    lease_token = %(token)s,
    lease_expires_at = fleet.now() + make_interval(secs => %(lease_seconds)s),
    expires_at = coalesce(o.expires_at, coalesce(o.scheduled_at, o.created_at) + make_interval(secs => %(late_after_seconds)s::float8)),
    updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT due.id FROM due)) AND o.status = 'scheduled'
RETURNING o.id::text, o.crashes > 0

-- name: release
-- queued -> scheduled, by the relay that claimed them, when Redis did not take them. No row: they were rescued or
-- cancelled meanwhile; nothing is left to do.
UPDATE public.channel_outbox o
SET status = 'scheduled', lease_token = NULL, lease_expires_at = NULL, updated_at = fleet.now()
WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s
RETURNING o.id

-- name: rescue
-- queued -> scheduled, by the rescuer: the lease ran out (or there is none), and nothing was sent under it. No row:
-- every claim is alive.
-- Where the claim ran out while a worker rendered it, that is a crash, and the last of %(crash_limit)s ends in failed.
-- A claim that no worker had in hand (Redis was wiped, nobody serves the channel) counts as none, and so does one whose
-- worker has been seen since: it was slow. Until a worker that lives would have been seen, its claims are left alone.
-- After a crash a message waits a while: where workers are killed for other reasons, soon after they start, it must not be
-- what each of them begins with.
WITH expired AS MATERIALIZED (
    SELECT o.id, o.lease_token, o.lease_expires_at, o.crashes
    FROM public.channel_outbox o
    WHERE o.status = 'queued' AND (o.lease_expires_at IS NULL OR o.lease_expires_at < fleet.now())
      AND NOT EXISTS (
          SELECT
          FROM fleet.bundles b
          JOIN fleet.workers w ON w.id = b.worker
          WHERE b.token = o.lease_token AND o.id = ANY (b.message_ids) AND NOT b.broke
            AND w.started_at <= b.taken_at AND w.seen_at <= o.lease_expires_at
            AND o.lease_expires_at > fleet.now() - make_interval(secs => %(beat_seconds)s)
      )
    ORDER BY o.id
    LIMIT %(limit)s
    FOR UPDATE OF o SKIP LOCKED
),
found AS MATERIALIZED (
    SELECT e.id, e.crashes + (count(b.id) > 0)::integer AS crashes
    FROM expired e
    LEFT JOIN fleet.bundles b ON b.token = e.lease_token AND e.id = ANY (b.message_ids)
        AND (
            b.broke OR NOT EXISTS (
                SELECT FROM fleet.workers w
                WHERE w.id = b.worker AND w.started_at <= b.taken_at AND w.seen_at > e.lease_expires_at
            )
        )
    GROUP BY e.id, e.crashes
)
UPDATE public.channel_outbox o
SET status = CASE WHEN f.crashes < %(crash_limit)s THEN 'scheduled' ELSE 'failed' END,
    crashes = f.crashes,
    scheduled_at = CASE
        WHEN f.crashes > o.crashes AND f.crashes < %(crash_limit)s
        THEN fleet.now() + make_interval(secs => %(crash_delay_seconds)s * power(4, f.crashes - 1))
        ELSE o.scheduled_at
    END,
    error_class = CASE WHEN f.crashes < %(crash_limit)s THEN o.error_class ELSE 'rejected' END,
    error_code = CASE WHEN f.crashes < %(crash_limit)s THEN o.error_code ELSE 'poison' END,
    error_message = CASE
        WHEN f.crashes < %(crash_limit)s THEN o.error_message
        ELSE 'the worker crashed each time it prepared this message, ' || f.crashes || ' times; look at its payload'
    END,
    finalized_at = CASE WHEN f.crashes >= %(crash_limit)s THEN fleet.now() END,
    lease_token = NULL,
    lease_expires_at = NULL,
    updated_at = fleet.now()
FROM found f
WHERE o.id = f.id AND o.status = 'queued'
RETURNING o.id

-- name: next_due
-- In how many seconds the earliest scheduled message is due, over all channels, by two probes of the platform's own
-- index; null when none is scheduled. A moment in the past means that a claim may find something, or that what is due
-- is held back. Seconds are compared, because before PostgreSQL 17 nothing can be subtracted from infinity.
SELECT (extract(epoch FROM least(
    (SELECT min(o.scheduled_at) FROM public.channel_outbox o WHERE o.status = 'scheduled'),
    (SELECT o.created_at FROM public.channel_outbox o WHERE o.status = 'scheduled' AND o.scheduled_at IS NULL LIMIT 1)
)) - extract(epoch FROM fleet.now()))::float8

-- name: strangers
-- Channels that stand in scheduled rows and that no version of the fleet knows, by a skip scan of the claim's index.
WITH RECURSIVE channels (channel) AS (
    (SELECT o.channel FROM public.channel_outbox o WHERE o.status = 'scheduled' ORDER BY o.channel LIMIT 1)
    UNION ALL
    SELECT (
        SELECT o.channel FROM public.channel_outbox o
        WHERE o.status = 'scheduled' AND o.channel > c.channel ORDER BY o.channel LIMIT 1
    )
    FROM channels c
    WHERE c.channel IS NOT NULL
)
SELECT channel::text FROM channels WHERE channel::text <> ALL (%(known)s::text[])

-- name: reject_unclaimable
-- scheduled -> failed: messages of a channel that does not exist, or of none. No row: there is none that is due.
WITH unclaimable AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    WHERE o.status = 'scheduled'
      AND (o.channel IS NULL OR o.channel::text = ANY (%(channels)s::text[]))
      AND coalesce(o.scheduled_at, o.created_at) <= fleet.now()
    ORDER BY o.id
    LIMIT %(limit)s
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE public.channel_outbox o
SET status = 'failed',
    error_class = 'rejected',
    error_code = 'unknown_channel',
    error_message = coalesce('there is no channel ' || quote_literal(o.channel::text), 'channel is empty') || '; set it to one of: ' || %(served)s::text,
    finalized_at = fleet.now(),
    updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT unclaimable.id FROM unclaimable)) AND o.status = 'scheduled'
RETURNING o.id
