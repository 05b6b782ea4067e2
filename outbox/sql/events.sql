-- Events: what vendors say afterwards, stored once and applied as proof. Applying is in two halves of one transaction:
-- the first locks the messages, so that the second sees everything that a settlement has committed. What is of a person
-- is attached in the transaction after that.

-- name: store
-- Keeps what was not known yet. No row for an event: it is stored already, and this is its repetition. The rows stand in
-- the order in which they came, and of two without a moment of their own the later one is later: many are stored together.
-- Two who store the same events at once, in another order, may lose a conflict, and try again.
INSERT INTO fleet.events (
    provider, tenant_id, event_id, kind, proves, provider_message_id, message_id, attempt_id, channel, address,
    our_address, code, reason, details, body, occurred_at, workspace_id, next_try_at
)
SELECT n.provider, n.tenant_id, n.event_id, n.kind, n.proves, n.provider_message_id, n.message_id, n.attempt_id, n.channel,
    lower(n.address), n.our_address, n.code, n.reason, n.details, coalesce(n.body, '{}'),
    CASE n.provider WHEN %(ours)s THEN coalesce(n.occurred_at, n.came_at) ELSE least(n.occurred_at, n.came_at) END,
    n.workspace_id, fleet.now()
FROM (
    SELECT n.*, fleet.now() + (row_number() OVER () - 1) * interval '1 microsecond' AS came_at
    FROM json_to_recordset(%(rows)s) AS n (
        provider text, tenant_id uuid, event_id text, kind text, proves text, provider_message_id text, message_id uuid,
        attempt_id uuid, channel text, address text, our_address text, code text, reason text, details jsonb, body jsonb,
        occurred_at timestamptz, workspace_id uuid
    )
) AS n
ON CONFLICT (provider, tenant_id, event_id) DO NOTHING
RETURNING id, set_config('synchronous_commit', 'on', true)

-- name: claim
-- Takes events that are due, for the time that their bundle may be in Redis. No row: none is due.
WITH due AS MATERIALIZED (
    SELECT e.id
    FROM fleet.events e
    WHERE e.applied_at IS NULL AND e.next_try_at <= fleet.now()
    ORDER BY e.next_try_at
    LIMIT %(limit)s
    FOR UPDATE OF e SKIP LOCKED
)
UPDATE fleet.events e
SET next_try_at = fleet.now() + make_interval(secs => %(lease_seconds)s)
WHERE e.id = ANY (ARRAY(SELECT due.id FROM due)) AND e.applied_at IS NULL
RETURNING e.id

-- name: release
-- Gives back what Redis did not take. No row for an event: it was applied meanwhile.
UPDATE fleet.events e
SET next_try_at = fleet.now() + make_interval(secs => %(delay_seconds)s)
WHERE e.id = ANY (%(ids)s::bigint[]) AND e.applied_at IS NULL AND e.next_try_at IS NOT NULL

-- name: apply_lock
-- First half: the message of each event that proves something, locked in id order. No row for an event: it was applied
-- already, it is of a person, or nobody knows its message.
WITH named AS MATERIALIZED (
    SELECT e.id, coalesce(e.message_id, found.message_id) AS message_id
    FROM fleet.events e
    LEFT JOIN LATERAL (
        SELECT a.message_id
        FROM fleet.attempts a
        WHERE e.message_id IS NULL AND a.provider = e.provider AND a.provider_message_id = e.provider_message_id
          AND a.account_tenant_id = e.tenant_id
        LIMIT 1
    ) AS found ON true
    WHERE e.id = ANY (%(ids)s::bigint[]) AND e.applied_at IS NULL AND e.proves IS NOT NULL
)
SELECT n.id, o.id
FROM named n
JOIN public.channel_outbox o ON o.id = n.message_id
ORDER BY o.id, n.id
FOR UPDATE OF o

-- name: apply
-- Second half, for events of as many messages, all locked: proof goes to the attempt, and the message goes where proof
-- leads, never down: failed -> sent | delivered; scheduled or queued or unknown -> sent | delivered | failed;
-- sent -> delivered | failed; delivered -> delivered, where a second acceptance is news, and what remains on it: a
-- complaint, or a bounce that came after all. No row for an event: it waits, because the message is sending, or none of
-- its attempts is the event's.
--
-- An attempt is the event's where the account that signed it is the attempt's own, and our mark, or the vendor's id, is;
-- an event that names nothing but the message is of its last attempt.
-- A person who tried a message again has forgiven what was known until then: only news moves it. An attempt whose
-- acceptance is news is proven even while its message is sending under another: its settlement looks for that.
WITH told AS MATERIALIZED (
    SELECT e.id, e.provider, e.proves, coalesce(e.provider_message_id, a.provider_message_id) AS provider_message_id, e.code,
        e.reason, e.body, o.id AS message_id, o.status, o.error_class,
        o.error_code AS flag, o.channel::text AS channel, coalesce(o.workspace_id, o.tenant_id) AS workspace_id,
        o.campaign_id, a.number, a.attempt_id, a.address, a.is_news, a.id_is_free,
        a.is_news OR a.number > o.attempts_forgiven AS counts,
        EXISTS (
            SELECT
            FROM fleet.attempts other
            WHERE other.message_id = o.id AND other.send_key <> a.send_key AND other.number > o.attempts_forgiven
              AND (other.outcome = 'accepted' OR other.resolution = 'accepted')
        ) AS other_accepted
    FROM unnest(%(ids)s::bigint[], %(message_ids)s::uuid[]) AS w (event_id, message_id)
    JOIN fleet.events e ON e.id = w.event_id
    JOIN public.channel_outbox o ON o.id = w.message_id
    CROSS JOIN LATERAL (
        SELECT a.number, a.id AS attempt_id, a.send_key, a.address, a.provider_message_id,
            a.outcome <> 'accepted' AND a.resolution IS DISTINCT FROM 'accepted' AS is_news,
            NOT EXISTS (
                SELECT
                FROM fleet.attempts x
                WHERE x.provider = a.provider AND x.provider_message_id = e.provider_message_id AND x.account = a.account
            ) AS id_is_free
        FROM fleet.attempts a
        WHERE a.message_id = o.id AND a.provider = e.provider AND a.account_tenant_id = e.tenant_id
          AND CASE
              WHEN e.attempt_id IS NOT NULL THEN a.id = e.attempt_id
              WHEN e.provider_message_id IS NOT NULL THEN a.provider_message_id = e.provider_message_id
              ELSE e.message_id = o.id
          END
          AND (a.provider_message_id IS NULL OR e.provider_message_id IS NULL OR a.provider_message_id = e.provider_message_id)
        ORDER BY a.number DESC
        LIMIT 1
    ) AS a
    WHERE e.applied_at IS NULL
),
judged AS MATERIALIZED (
    SELECT t.*,
        t.counts AND t.other_accepted AND t.flag IS DISTINCT FROM 'duplicate' AS is_duplicate,
        CASE
            WHEN t.status NOT IN ('scheduled', 'queued', 'unknown', 'sent', 'failed') THEN NULL
            WHEN t.proves = 'delivered' THEN 'delivered'
            WHEN NOT t.counts OR (t.status = 'failed' AND t.error_class = 'undelivered' AND NOT t.is_news) THEN NULL
            WHEN t.proves = 'undelivered' AND NOT t.other_accepted THEN 'failed'
            WHEN t.status <> 'sent' THEN 'sent'
        END AS becomes
    FROM told t
),
noted AS MATERIALIZED (
    -- What remains on a delivered message, whether it came before or after its delivery was known.
    SELECT DISTINCT ON (j.message_id) j.message_id, x.kind, x.reason
    FROM judged j
    JOIN fleet.events x ON x.message_id = j.message_id OR x.id = j.id
    WHERE coalesce(j.becomes, j.status) = 'delivered' AND x.kind = ANY (%(remaining)s::text[])
      AND (x.applied_at IS NOT NULL OR x.id = j.id)
    ORDER BY j.message_id, array_position(%(remaining)s::text[], x.kind), x.id
),
proven AS (
    UPDATE fleet.attempts a
    SET resolution = 'accepted',
        resolved_at = fleet.now(),
        resolved_by = 'event',
        provider_message_id = CASE WHEN t.id_is_free THEN t.provider_message_id ELSE a.provider_message_id END
    FROM told t
    WHERE t.is_news AND a.message_id = t.message_id AND a.number = t.number
),
known AS (
    DELETE FROM fleet.unknowns u
    USING told t
    WHERE u.attempt_id = t.attempt_id AND u.message_id = t.message_id
),
moved AS (
    UPDATE public.channel_outbox o
    SET status = coalesce(j.becomes, o.status),
        sent_at = coalesce(o.sent_at, fleet.now()),
        provider_message_id = CASE WHEN j.becomes IS NULL THEN o.provider_message_id ELSE j.provider_message_id END,
        provider_response = coalesce(o.provider_response, j.body),
        error_class = CASE WHEN j.becomes = 'failed' THEN 'undelivered' WHEN j.becomes IS NULL THEN o.error_class END,
        error_code = CASE
            WHEN j.is_duplicate OR j.flag = 'duplicate' THEN 'duplicate' WHEN j.becomes = 'failed' THEN j.code ELSE n.kind
        END,
        error_message = CASE
            WHEN j.is_duplicate OR j.flag = 'duplicate' THEN 'two requests for it were accepted'
            WHEN j.becomes = 'failed' THEN j.reason
            ELSE n.reason
        END,
        lease_token = NULL,
        lease_expires_at = NULL,
        finalized_at = CASE WHEN j.becomes IS NULL THEN o.finalized_at WHEN j.becomes <> 'sent' THEN fleet.now() END,
        poll_at = CASE
            WHEN j.becomes IS NULL THEN o.poll_at WHEN j.becomes = 'sent' AND j.provider = ANY (%(polled)s::text[]) THEN fleet.now()
        END,
        updated_at = fleet.now()
    FROM judged j
    LEFT JOIN noted n USING (message_id)
    WHERE o.id = j.message_id
      AND o.status IN ('scheduled', 'queued', 'unknown', 'sent', 'failed', 'delivered')
      AND (
          j.becomes IS NOT NULL OR j.is_duplicate
          OR n.kind IS NOT NULL AND j.flag IS DISTINCT FROM 'duplicate' AND (n.kind, n.reason) IS DISTINCT FROM (o.error_code, o.error_message)
      )
    RETURNING o.id, j.is_duplicate, coalesce(o.workspace_id, o.tenant_id) AS workspace_id, j.number
),
flagged AS (
    INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
    SELECT 'event', 'duplicate', m.workspace_id, m.id::text, jsonb_build_object('attempt', m.number)
    FROM moved m
    WHERE m.is_duplicate
)
UPDATE fleet.events e
SET applied_at = CASE WHEN j.status <> 'sending' THEN fleet.now() END,
    next_try_at = CASE WHEN j.status = 'sending' THEN e.next_try_at END,
    message_id = j.message_id,
    attempt_id = j.attempt_id,
    channel = j.channel,
    address = coalesce(j.address, e.address),
    workspace_id = j.workspace_id,
    campaign_id = j.campaign_id
FROM judged j
WHERE e.id = j.id AND e.applied_at IS NULL
RETURNING e.id, e.applied_at IS NOT NULL

-- name: attach
-- Events of a person: the message that they are about is the one that they name, else the last one that the account sent
-- to that address before the event came here, on that channel, from the number that was written to where there is one.
-- Sent is what the vendor took, or may have taken: nobody answers what was refused or put off. Both moments are of the
-- database's own clock, however late the event is applied. The workspace is that message's; where there is none, that of
-- the last one that the account tried to send there, because START may follow upon a refusal; where no message is known, it
-- is the tenant whose account it came to, or, at the environment's account, who has the number, the oldest of those in
-- use; and where the number is somebody's, nobody else's message is answered there. A sender may be kept with its name, and
-- Vapi's numbers by their ids. What the fleet itself stores (an unsubscribe link) names both. No row for an event: it is of nobody that we know,
-- and waits.
WITH told AS MATERIALIZED (
    SELECT e.id, last.is_sent IS NOT FALSE AS answers, o.id AS message_id, o.channel::text AS channel, o.campaign_id, last.address,
        coalesce(e.workspace_id, o.workspace_id, o.tenant_id, nullif(e.tenant_id, %(nobody)s), number.tenant_id) AS workspace_id
    FROM fleet.events e
    LEFT JOIN LATERAL (
        SELECT n.tenant_id
        FROM public.voice_phone_numbers n
        WHERE n.phone_number = e.our_address AND n.is_active
        ORDER BY n.created_at, n.id
        LIMIT 1
    ) AS number ON true
    LEFT JOIN LATERAL (
        SELECT a.message_id, a.address, a.is_sent
        FROM (
            SELECT a.message_id, a.address, a.sender, a.provider, a.account_tenant_id, a.finished_at, true AS is_sent
            FROM fleet.attempts a
            WHERE a.message_id = e.message_id
            UNION ALL
            SELECT a.message_id, a.address, a.sender, a.provider, a.account_tenant_id, a.finished_at,
                coalesce(a.resolution, a.outcome) IN ('accepted', 'arrived', 'unknown', 'sent again')
            FROM fleet.attempts a
            WHERE e.message_id IS NULL AND a.address = e.address
              AND a.finished_at >= e.received_at - make_interval(days => %(days)s) AND a.started_at <= e.received_at
        ) AS a
        LEFT JOIN public.channel_outbox about ON about.id = a.message_id
        WHERE a.account_tenant_id = e.tenant_id AND a.provider = e.provider
          AND (number.tenant_id IS NULL OR e.tenant_id <> %(nobody)s OR coalesce(about.tenant_id, about.workspace_id) = number.tenant_id)
        ORDER BY a.is_sent DESC,
            (
                a.sender IN (e.our_address, e.details #>> '{call,number_id}')
                OR lower(substring(a.sender FROM '<([^<>]+)>$')) = lower(e.our_address)
            ) DESC NULLS LAST,
            (about.channel::text = e.channel) DESC NULLS LAST,
            a.finished_at DESC
        LIMIT 1
    ) AS last ON true
    LEFT JOIN public.channel_outbox o ON o.id = CASE e.provider WHEN %(ours)s THEN e.message_id ELSE last.message_id END
    WHERE e.id = ANY (%(ids)s::bigint[]) AND e.applied_at IS NULL AND e.proves IS NULL
)
UPDATE fleet.events e
SET applied_at = fleet.now(),
    next_try_at = NULL,
    message_id = coalesce(CASE WHEN t.answers THEN t.message_id END, CASE e.provider WHEN %(ours)s THEN e.message_id END),
    channel = coalesce(e.channel, t.channel),
    address = coalesce(e.address, t.address),
    workspace_id = t.workspace_id,
    campaign_id = CASE WHEN t.answers THEN t.campaign_id END
FROM told t
WHERE e.id = t.id AND e.applied_at IS NULL AND t.workspace_id IS NOT NULL
RETURNING e.id

-- name: wait
-- Puts off what could not be applied: twice as long each time, and after the last try until a person looks. A message
-- that is sending ends that by itself, so its events are never given up. No row: all were applied.
UPDATE fleet.events e
SET tries = e.tries + 1,
    next_try_at = CASE
        WHEN e.tries + 1 < %(tries)s
          OR EXISTS (SELECT FROM public.channel_outbox o WHERE o.id = e.message_id AND o.status = 'sending')
        THEN fleet.now() + make_interval(secs => least(2 ^ least(e.tries, 30), %(cap_seconds)s))
    END
WHERE e.id = ANY (%(ids)s::bigint[]) AND e.applied_at IS NULL
RETURNING e.id, e.next_try_at IS NULL
