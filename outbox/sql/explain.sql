-- What one message waits for, read for a person. What is counted is counted up to a limit.

-- name: facts
-- The message as its relay and its worker would see it. No row: there is no such message.
SELECT o.id, o.status::text, o.channel::text, coalesce(o.provider::text, %(default_providers)s::jsonb ->> o.channel::text),
    coalesce(o.workspace_id, o.tenant_id), coalesce(o.tenant_id, o.workspace_id), o.campaign_id,
    CASE o.channel::text
        WHEN 'email' THEN coalesce(nullif(btrim(o.recipient_email), ''), l.email, c.email)
        ELSE coalesce(nullif(btrim(o.recipient_phone), ''), l.phone, c.phone)
    END,
    coalesce(o.scheduled_at, o.created_at), o.expires_at, o.lease_expires_at, o.attempts, o.error_code, o.error_message,
    coalesce(o.finalized_at, o.sent_at), o.send_key,
    CASE WHEN o.priority > 0 THEN 0 WHEN o.priority < 0 THEN 2 ELSE 1 END, fleet.now()
FROM public.channel_outbox o
LEFT JOIN public.leads l ON l.id = o.recipient_id AND l.workspace_id = o.workspace_id
LEFT JOIN public.crm_contacts c
    ON l.id IS NULL AND c.id = o.recipient_id AND c.tenant_id = coalesce(o.tenant_id, o.workspace_id)
WHERE o.id = %(id)s

-- name: pauses
-- Everything that stands and holds the message.
SELECT p.scope_key, p.kind, p.reason, p.created_by, p.until
FROM fleet.pauses p
WHERE p.scope_key = ANY (%(scopes)s)
  AND (p.until IS NULL OR p.until > fleet.now())
  AND (p.due_before IS NULL OR %(due_at)s < p.due_before)

-- name: halt
-- No row: its account is not halted now.
SELECT a.halted_reason, a.halted_until
FROM fleet.accounts a
WHERE a.tenant_id = %(tenant_id)s AND a.provider = %(provider)s AND a.halted_until > fleet.now()

-- name: holder
-- Which process has it in hand. No row: it is in Redis, or whoever had it is gone.
SELECT w.host, w.pid
FROM fleet.workers w
WHERE w.id IN (
    SELECT b.worker FROM fleet.bundles b WHERE %(id)s = ANY (b.message_ids)
    UNION ALL
    SELECT b.worker FROM fleet.batches b WHERE b.send_key = %(send_key)s AND b.lease_token IS NOT NULL
)

-- name: batch
-- When the lease of its batch ends, or, where it waits for its replay, when that is due. No row: its batch has ended.
SELECT b.lease_expires_at, b.lease_token IS NULL FROM fleet.batches b WHERE b.send_key = %(send_key)s

-- name: unknowns
-- Attempts whose outcome is looked for: the message's own, and those to its recipient that no start may pass.
SELECT u.message_id, u.waits_for, u.looks, u.ended_at, u.not_before
FROM fleet.unknowns u
WHERE u.message_id = %(id)s
   OR (u.address = %(address)s AND u.channel = %(channel)s AND u.waits_for = 'look' AND u.account_tenant_id = %(account)s)

-- name: ahead
-- How many due messages of its channel go before it, counted up to a limit, and how many were accepted in the last
-- minute. It has all that is due in more urgent bands before it, and what was due earlier in its own.
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM (VALUES (0), (1), (2)) AS bands (band)
            CROSS JOIN LATERAL (
                SELECT
                FROM public.channel_outbox o
                WHERE o.status = 'scheduled'
                  AND o.channel::text = %(channel)s
                  AND CASE WHEN o.priority > 0 THEN 0 WHEN o.priority < 0 THEN 2 ELSE 1 END = bands.band
                  AND coalesce(o.scheduled_at, o.created_at) < CASE WHEN bands.band < %(band)s THEN fleet.now() ELSE %(due_at)s END
                LIMIT %(limit)s
            ) AS each
            WHERE bands.band <= %(band)s
            LIMIT %(limit)s
        ) AS before
    ),
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM fleet.attempts a
            JOIN public.channel_outbox o ON o.id = a.message_id AND o.channel::text = %(channel)s
            WHERE a.finished_at > fleet.now() - interval '1 minute' AND a.outcome = 'accepted'
            LIMIT %(limit)s
        ) AS lately
    )
