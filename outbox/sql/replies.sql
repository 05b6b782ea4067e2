-- Replies: what people answered, kept from applied events; and the sequences that an answer ends. The first two take the
-- ids of events that were applied in this transaction, and come to the same however often they come.

-- name: stop
-- scheduled or queued -> cancelled; sending or unknown stays, and gets no further try, because its time is over (as the
-- end of a cancel does, see cancellation.sql): the messages of the same campaign to whoever replied that say stop_on_reply. Whoever
-- replied is the recipient that the answered message names, or has the address that wrote; numbers are compared by their
-- last ten digits, because a message's own may be spelled in any way. A lone "Yes" is START to a vendor, and an answer
-- all the same. It waits for whoever holds a row, and takes it as they leave it. No row:
-- nothing of a sequence waits.
WITH replied AS MATERIALIZED (
    SELECT DISTINCT e.workspace_id, e.campaign_id, o.recipient_id, lower(e.address) AS address,
        CASE WHEN e.address NOT LIKE '%%@%%' THEN nullif(right(regexp_replace(e.address, '\D', '', 'g'), 10), '') END AS digits
    FROM fleet.events e
    LEFT JOIN public.channel_outbox o ON o.id = e.message_id
    WHERE e.id = ANY (%(ids)s::bigint[]) AND (e.kind = 'replied' OR (e.kind = 'resumed' AND e.details ->> 'text' IS NOT NULL))
      AND e.campaign_id IS NOT NULL AND e.workspace_id IS NOT NULL
),
waiting AS MATERIALIZED (
    SELECT w.id
    FROM (SELECT DISTINCT r.workspace_id, r.campaign_id FROM replied r) AS c
    CROSS JOIN LATERAL (
        SELECT o.id, o.recipient_id, lower(btrim(o.recipient_email)) AS email,
            right(regexp_replace(o.recipient_phone, '\D', '', 'g'), 10) AS digits
        FROM public.channel_outbox o
        WHERE o.campaign_id = c.campaign_id AND coalesce(o.workspace_id, o.tenant_id) = c.workspace_id
          AND o.status IN ('scheduled', 'queued', 'sending', 'unknown') AND o.payload ->> 'stop_on_reply' = 'true'
        OFFSET 0  -- campaign by campaign, by the index, and each once for all who replied
    ) AS w
    WHERE EXISTS (
        SELECT
        FROM replied r
        WHERE r.workspace_id = c.workspace_id AND r.campaign_id = c.campaign_id
          AND (r.recipient_id = w.recipient_id OR r.address = w.email OR r.digits = w.digits)
    )
),
chosen AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    WHERE o.id = ANY (ARRAY(SELECT w.id FROM waiting w)) AND o.status IN ('scheduled', 'queued', 'sending', 'unknown')
    ORDER BY o.id
    FOR UPDATE OF o
)
UPDATE public.channel_outbox o
SET status = CASE WHEN o.status IN ('scheduled', 'queued') THEN 'cancelled' ELSE o.status END,
    lease_token = NULL,
    lease_expires_at = NULL,
    error_code = CASE WHEN o.status IN ('scheduled', 'queued') THEN 'replied' ELSE o.error_code END,
    error_message = CASE
        WHEN o.status IN ('scheduled', 'queued') THEN 'the recipient replied, and payload.stop_on_reply ends the sequence then'
        ELSE o.error_message
    END,
    expires_at = CASE WHEN o.status IN ('scheduled', 'queued') THEN o.expires_at ELSE fleet.now() END,
    finalized_at = CASE WHEN o.status IN ('scheduled', 'queued') THEN fleet.now() ELSE o.finalized_at END,
    updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT c.id FROM chosen c))
  AND (
      o.status IN ('scheduled', 'queued')
      OR (o.status IN ('sending', 'unknown') AND (o.expires_at IS NULL OR o.expires_at > fleet.now()))
  )
RETURNING o.id

-- name: keep
-- What was written, with whose lead wrote it. A STOP or START is one as well, where the vendor passes on its words.
INSERT INTO fleet.replies (
    event_id, workspace_id, channel, address, message_id, campaign_id, lead_id, text, received_at
)
SELECT e.id, e.workspace_id, e.channel, e.address, e.message_id, e.campaign_id,
    fleet.lead_of(e.workspace_id, o.recipient_id, e.address), e.details ->> 'text', e.occurred_at
FROM fleet.events e
LEFT JOIN public.channel_outbox o ON o.id = e.message_id
WHERE e.id = ANY (%(ids)s::bigint[]) AND e.workspace_id IS NOT NULL
  AND (e.kind = 'replied' OR (e.kind IN ('stopped', 'resumed') AND e.details ->> 'text' IS NOT NULL))
ORDER BY e.id
ON CONFLICT (event_id) DO NOTHING

-- name: find
-- Replies that match, the latest first, after a position in that order. Every filter that is null matches all.
SELECT r.event_id, r.workspace_id, r.channel, r.address, r.message_id, r.campaign_id, r.lead_id, r.text, r.received_at
FROM fleet.replies r
WHERE (%(workspace_id)s::uuid IS NULL OR r.workspace_id = %(workspace_id)s::uuid)
  AND (%(message_id)s::uuid IS NULL OR r.message_id = %(message_id)s::uuid)
  AND (%(after_id)s::bigint IS NULL OR (r.received_at, r.event_id) < (%(after_at)s::timestamptz, %(after_id)s::bigint))
ORDER BY r.received_at DESC, r.event_id DESC
LIMIT %(limit)s
