-- Messages that a vendor took and whose end it may never tell by itself: when it is asked for it.

-- name: claim
-- Takes the messages of one channel that are due for a look, the longest due first. Their next look is put as far ahead
-- as they are old, so that whoever dies with them costs one interval and nothing is given back; the last one is at the
-- horizon. What is past it is due once more, when it is older by a quarter: only an answer makes a look the last (give_up),
-- or twice the horizon. No row: none is due, or another scheduler takes them in this moment.
WITH due AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    WHERE o.status = 'sent' AND o.channel = %(channel)s AND o.poll_at <= fleet.now()
    ORDER BY o.poll_at
    LIMIT %(limit)s
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE public.channel_outbox o
SET poll_at = CASE
        WHEN o.sent_at + make_interval(secs => %(horizon_seconds)s) > fleet.now() THEN least(
            fleet.now() + greatest(fleet.now() - o.sent_at, make_interval(secs => %(patience_seconds)s)),
            o.sent_at + make_interval(secs => %(horizon_seconds)s)
        )
        WHEN o.sent_at + make_interval(secs => 2 * %(horizon_seconds)s::float8) > fleet.now()
        THEN fleet.now() + (fleet.now() - o.sent_at) / 4
    END
WHERE o.id = ANY (ARRAY(SELECT due.id FROM due)) AND o.status = 'sent'
RETURNING o.id::text

-- name: release
-- Gives back what Redis did not take. No row for a message: its end came meanwhile.
UPDATE public.channel_outbox o
SET poll_at = fleet.now() + make_interval(secs => %(delay_seconds)s)
FROM (
    SELECT o.id FROM public.channel_outbox o WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status = 'sent' ORDER BY o.id FOR UPDATE OF o
) AS mine
WHERE o.id = mine.id AND o.status = 'sent'
RETURNING o.id

-- name: read
-- Whom to ask, and for what: of each message the last attempt that a vendor took and named, and whether it is asked for
-- the last time. No row for a message: its end came meanwhile, or nobody can be asked about it.
SELECT o.id, a.provider, a.account, a.account_tenant_id, a.provider_message_id,
    (o.sent_at + make_interval(secs => %(horizon_seconds)s) > fleet.now()) IS NOT TRUE
FROM public.channel_outbox o
CROSS JOIN LATERAL (
    SELECT a.provider, a.account, a.account_tenant_id, a.provider_message_id
    FROM fleet.attempts a
    WHERE a.message_id = o.id AND (a.outcome = 'accepted' OR a.resolution = 'accepted') AND a.provider_message_id IS NOT NULL
      AND a.provider = ANY (%(polled)s::text[])
    ORDER BY a.number DESC
    LIMIT 1
) AS a
WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status = 'sent'

-- name: postpone
-- Puts off looks that could not be had. Never to sooner than a quarter of the message's age, so that what cannot be asked
-- for days is not tried every few seconds, and to twice the horizon at most. No row for a message: its end came meanwhile.
UPDATE public.channel_outbox o
SET poll_at = CASE
        WHEN o.sent_at + make_interval(secs => 2 * %(horizon_seconds)s::float8) > fleet.now()
        THEN fleet.now() + greatest((fleet.now() - o.sent_at) / 4, make_interval(secs => mine.delay_seconds))
    END
FROM (
    SELECT o.id, d.delay_seconds
    FROM json_to_recordset(%(rows)s) AS d (id uuid, delay_seconds float8)
    JOIN public.channel_outbox o ON o.id = d.id
    WHERE o.status = 'sent'
    ORDER BY o.id
    FOR UPDATE OF o
) AS mine
WHERE o.id = mine.id AND o.status = 'sent'
RETURNING o.id

-- name: give_up
-- Asks no more about messages that no vendor can tell of, or that have no end by the horizon. They stay sent. No row for a message: its end came meanwhile.
UPDATE public.channel_outbox o
SET poll_at = NULL
FROM (
    SELECT o.id FROM public.channel_outbox o WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status = 'sent' ORDER BY o.id FOR UPDATE OF o
) AS mine
WHERE o.id = mine.id AND o.status = 'sent'
RETURNING o.id

-- name: waiting
-- Messages of one channel whose vendor will be asked: those for which it is time, and those for which it is not yet. The
-- channel takes the column's own type, which may be an enum, so that the comparison keeps its index.
SELECT taken.state, count(*)
FROM (
    (
        SELECT 'due' AS state
        FROM public.channel_outbox o
        WHERE o.status = 'sent' AND o.channel = %(channel)s AND o.poll_at <= fleet.now()
        LIMIT %(limit)s
    )
    UNION ALL
    (
        SELECT 'later'
        FROM public.channel_outbox o
        WHERE o.status = 'sent' AND o.channel = %(channel)s AND o.poll_at > fleet.now()
        LIMIT %(limit)s
    )
) AS taken
GROUP BY taken.state
