-- What support asks of the ledger: find, read, and correct what may still be corrected.

-- name: find
-- Messages that match, newest first, after a position in that order. Every filter that is null matches all.
-- A message that does not say when it was made counts as the oldest. The position is that of the message `after_id`;
-- its moment as it was read stands in only where it is gone, because some moments cannot be read as they are.
SELECT o.id, o.workspace_id, coalesce(o.tenant_id, o.workspace_id), o.channel::text, o.provider::text, o.status::text,
    coalesce(o.recipient_email, o.recipient_phone), coalesce(o.scheduled_at, o.created_at), o.created_at, o.sent_at,
    o.finalized_at, o.attempts, o.error_class, o.error_code, o.error_message, o.provider_message_id, o.campaign_id
FROM public.channel_outbox o
WHERE (%(ids)s::uuid[] IS NULL OR o.id = ANY (%(ids)s::uuid[]))
  AND (%(statuses)s::text[] IS NULL OR o.status::text = ANY (%(statuses)s::text[]))
  AND (%(channel)s::text IS NULL OR o.channel::text = %(channel)s::text)
  AND (%(provider)s::text IS NULL OR o.provider::text = %(provider)s::text)
  AND (%(workspace_id)s::uuid IS NULL OR o.workspace_id = %(workspace_id)s::uuid)
  AND (%(campaign_id)s::uuid IS NULL OR o.campaign_id = %(campaign_id)s::uuid)
  AND (%(error_code)s::text IS NULL OR o.error_code = %(error_code)s::text)
  AND (%(recipient)s::text IS NULL OR lower(o.recipient_email) = lower(%(recipient)s::text) OR o.recipient_phone = %(recipient)s::text)
  AND (%(since)s::timestamptz IS NULL OR coalesce(o.created_at, '-infinity') >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR coalesce(o.created_at, '-infinity') < %(until)s::timestamptz)
  AND (%(after_id)s::uuid IS NULL OR (coalesce(o.created_at, '-infinity'), o.id) < (
      coalesce(
          (SELECT coalesce(a.created_at, '-infinity') FROM public.channel_outbox a WHERE a.id = %(after_id)s::uuid),
          %(after_at)s::timestamptz,
          '-infinity'
      ),
      %(after_id)s::uuid
  ))
ORDER BY coalesce(o.created_at, '-infinity') DESC, o.id DESC
LIMIT %(limit)s

-- name: read
SELECT to_jsonb(o) FROM public.channel_outbox o WHERE o.id = %(id)s

-- name: attempts
SELECT to_jsonb(a) FROM fleet.attempts a WHERE a.message_id = %(id)s ORDER BY a.number

-- name: events
-- What vendors said of a message, in the order in which it happened; only what was applied, because anybody's callback
-- may name any message.
SELECT jsonb_build_object(
    'id', e.id, 'occurred_at', e.occurred_at, 'received_at', e.received_at, 'provider', e.provider, 'kind', e.kind,
    'code', e.code, 'reason', e.reason
)
FROM fleet.events e
WHERE e.message_id = %(id)s AND e.applied_at IS NOT NULL
ORDER BY e.occurred_at, e.id

-- name: retry
-- failed -> scheduled, by a person: what was tried so far, and what crashed over it, no longer counts, and an end that has
-- passed no longer holds. No row for a message: it is not failed (any more), so there is nothing to try again.
WITH chosen AS MATERIALIZED (
    SELECT o.id, o.campaign_id, o.error_class
    FROM public.channel_outbox o
    WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status = 'failed'
      AND (%(before)s::timestamptz IS NULL OR o.finalized_at IS NULL OR o.finalized_at < %(before)s::timestamptz)
    ORDER BY o.id
    FOR UPDATE OF o
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, subject, detail)
    SELECT %(actor)s, 'retry', CASE count(*) WHEN 1 THEN min(c.id::text) END, jsonb_build_object('messages', count(*))
    FROM chosen c
    HAVING count(*) > 0
),
hinted AS (
    INSERT INTO fleet.campaign_hints (campaign_id, at)
    SELECT DISTINCT c.campaign_id, fleet.now()
    FROM chosen c
    WHERE c.campaign_id IS NOT NULL AND c.error_class = 'undelivered'
)
UPDATE public.channel_outbox o
SET status = 'scheduled',
    scheduled_at = fleet.now(),
    attempts_forgiven = o.attempts,
    crashes = 0,
    expires_at = CASE WHEN o.expires_at > fleet.now() THEN o.expires_at END,
    error_class = NULL,
    error_code = NULL,
    error_message = NULL,
    finalized_at = NULL,
    updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT c.id FROM chosen c)) AND o.status = 'failed'
RETURNING o.id

-- name: cancel
-- scheduled or queued -> cancelled. No row for a message: it is with the vendor already, or has ended.
WITH chosen AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status IN ('scheduled', 'queued')
    ORDER BY o.id
    FOR UPDATE OF o
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, subject, detail)
    SELECT %(actor)s, 'cancel', CASE count(*) WHEN 1 THEN min(c.id::text) END,
        jsonb_strip_nulls(jsonb_build_object('messages', count(*), 'reason', %(reason)s::text))
    FROM chosen c
    HAVING count(*) > 0
)
UPDATE public.channel_outbox o
SET status = 'cancelled', lease_token = NULL, lease_expires_at = NULL, finalized_at = fleet.now(), updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT c.id FROM chosen c)) AND o.status IN ('scheduled', 'queued')
RETURNING o.id
