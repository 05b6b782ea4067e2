-- What a person decides of a message of which nobody knows whether it was sent.

-- name: arrived
-- unknown -> sent, by a person. No row for a message: it is not unknown (any more).
WITH chosen AS MATERIALIZED (
    SELECT o.id, o.send_key, o.campaign_id
    FROM public.channel_outbox o
    WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status = 'unknown'
    ORDER BY o.id
    FOR UPDATE OF o
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, subject)
    SELECT %(actor)s, 'arrived', c.id::text FROM chosen c
),
hinted AS (
    INSERT INTO fleet.campaign_hints (campaign_id, at)
    SELECT DISTINCT c.campaign_id, fleet.now() FROM chosen c WHERE c.campaign_id IS NOT NULL
),
closed AS (
    UPDATE fleet.attempts a
    SET resolution = 'arrived', resolved_at = fleet.now(), resolved_by = %(actor)s
    FROM chosen c
    WHERE a.message_id = c.id AND a.send_key = c.send_key AND a.outcome = 'unknown' AND a.resolution IS NULL
),
gone AS (
    DELETE FROM fleet.unknowns u USING chosen c WHERE u.message_id = c.id
)
UPDATE public.channel_outbox o
SET status = 'sent', sent_at = fleet.now(), error_class = NULL, error_code = NULL, error_message = NULL, updated_at = fleet.now()
FROM chosen c
WHERE o.id = c.id AND o.status = 'unknown'
RETURNING o.id

-- name: send_again
-- unknown -> scheduled, by a person, with a fresh budget. Its batch is closed for replay first, in the same statement:
-- otherwise the replay would send the message as well. The other members of that batch wait for a look of their own.
-- No row for a message: it is not unknown (any more), or its batch is being replayed in this moment.
WITH chosen AS MATERIALIZED (
    SELECT o.id, o.send_key
    FROM public.channel_outbox o
    WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status = 'unknown'
      AND NOT EXISTS (SELECT FROM fleet.batches b WHERE b.send_key = o.send_key AND b.lease_token IS NOT NULL)
    ORDER BY o.id
    FOR UPDATE OF o
),
stopped AS (
    DELETE FROM fleet.batches b
    USING (SELECT DISTINCT c.send_key FROM chosen c) AS c
    WHERE b.send_key = c.send_key AND b.lease_token IS NULL
    RETURNING b.*
),
free AS MATERIALIZED (
    -- A replay that began in this moment holds the batch: then neither is touched.
    SELECT c.id, c.send_key
    FROM chosen c
    WHERE EXISTS (SELECT FROM stopped s WHERE s.send_key = c.send_key)
       OR NOT EXISTS (SELECT FROM fleet.batches b WHERE b.send_key = c.send_key)
),
unresolved AS (
    INSERT INTO fleet.unknowns (
        attempt_id, message_id, send_key, channel, provider, account, account_tenant_id, address, sender, started_at,
        ended_at, waits_for
    )
    SELECT fleet.attempt_id(s.send_key, o.id), o.id, s.send_key, s.channel, s.provider, s.account, s.account_tenant_id,
        m.address, o.sender, s.first_sent_at, fleet.now(),
        CASE WHEN s.provider = ANY (%(askable)s::text[]) THEN 'look' ELSE 'person' END
    FROM stopped s
    CROSS JOIN LATERAL unnest(s.member_ids, s.addresses) AS m (id, address)
    JOIN public.channel_outbox o ON o.id = m.id AND o.send_key = s.send_key AND o.status = 'unknown'
    WHERE NOT EXISTS (SELECT FROM free f WHERE f.id = o.id)
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, subject)
    SELECT %(actor)s, 'send_again', f.id::text FROM free f
),
closed AS (
    UPDATE fleet.attempts a
    SET resolution = 'sent again', resolved_at = fleet.now(), resolved_by = %(actor)s
    FROM free f
    WHERE a.message_id = f.id AND a.send_key = f.send_key AND a.outcome = 'unknown' AND a.resolution IS NULL
),
gone AS (
    DELETE FROM fleet.unknowns u USING free f WHERE u.message_id = f.id
)
UPDATE public.channel_outbox o
SET status = 'scheduled',
    scheduled_at = fleet.now(),
    attempts_forgiven = o.attempts,
    expires_at = CASE WHEN o.expires_at > fleet.now() THEN o.expires_at END,
    error_class = NULL,
    error_code = NULL,
    error_message = NULL,
    updated_at = fleet.now()
FROM free f
WHERE o.id = f.id AND o.status = 'unknown'
RETURNING o.id
