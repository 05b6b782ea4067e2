-- The way from a bundle to the vendor: read, refuse, start, settle. Rows come in and go out as one JSON text, because
-- a hundred arrays of a hundred values cost the worker more than the send itself.
-- Messages are found by their ids. Their status is compared in words that no index serves (IS NOT DISTINCT FROM, IS
-- TRUE): statistics that were taken while nothing was queued say that the index of status leads to one row, and then
-- each statement would read all that is queued.

-- name: read
-- The messages of a bundle that are still its relay's claim, with what is needed to render them. No row: the claim ran
-- out or was cancelled; the bundle is stale and is dropped.
-- A missing address is that of the lead or contact which recipient_id names, of the same workspace or tenant only.
-- A payload over the limit is not fetched: one message must not make the process swap. What is stored in less than a
-- 256th of the limit cannot be over it, however well it was compressed.
SELECT o.id,
    o.workspace_id,
    coalesce(o.tenant_id, o.workspace_id) AS tenant_id,
    o.provider::text,
    coalesce(given.address, CASE %(address)s WHEN 'email' THEN coalesce(l.email, c.email) ELSE coalesce(l.phone, c.phone) END) AS address,
    CASE WHEN pg_column_size(o.payload) <= %(payload_bytes)s / 256 OR octet_length(o.payload::text) <= %(payload_bytes)s THEN o.payload::text END AS payload,
    o.payload IS NOT NULL AS has_payload,
    o.xmin::text AS seen,
    o.attempts,
    o.crashes > 0 OR o.attempts > 0 AND EXISTS (
        SELECT FROM fleet.attempts a
        WHERE a.message_id = o.id AND a.number > o.attempts_forgiven AND a.error_code = ANY (%(alone)s::text[])
    ) AS travels_alone,
    CASE WHEN o.attempts > 0 THEN (
        SELECT count(*) FROM fleet.attempts a
        WHERE a.message_id = o.id AND a.counted AND a.number > o.attempts_forgiven
    ) ELSE 0 END AS counted,
    o.campaign_id
FROM public.channel_outbox o
CROSS JOIN LATERAL (
    SELECT nullif(btrim(CASE %(address)s WHEN 'email' THEN o.recipient_email ELSE o.recipient_phone END), '') AS address
) AS given
LEFT JOIN public.leads l ON given.address IS NULL AND l.id = o.recipient_id AND l.workspace_id = o.workspace_id
LEFT JOIN public.crm_contacts c
    ON given.address IS NULL AND l.id IS NULL AND c.id = o.recipient_id AND c.tenant_id = coalesce(o.tenant_id, o.workspace_id)
WHERE o.id = ANY (%(ids)s::uuid[]) AND o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s

-- name: reject
-- queued -> failed: what can never be sent as it is. No row for a message: it is no longer this claim's.
WITH refused AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s) AS r (id uuid, error_code text, error_message text)
),
locked AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    JOIN refused r ON r.id = o.id
    WHERE o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s
    ORDER BY o.id
    FOR UPDATE OF o
)
UPDATE public.channel_outbox o
SET status = 'failed',
    error_class = 'rejected',
    error_code = r.error_code,
    error_message = r.error_message,
    lease_token = NULL,
    lease_expires_at = NULL,
    finalized_at = fleet.now(),
    updated_at = fleet.now()
FROM locked
JOIN refused r ON r.id = locked.id
WHERE o.id = locked.id AND o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s
RETURNING o.id

-- name: defer
-- queued -> scheduled, later: its account cannot send now, which spends no attempt. What would be put off beyond its
-- own end fails now: queued -> failed. No row for a message: it is no longer this claim's.
WITH deferred AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s) AS d (id uuid, error_code text, error_message text, delay_seconds float8)
),
locked AS MATERIALIZED (
    SELECT o.id, due.at AS due_at, coalesce(o.expires_at <= due.at, false) AS is_late
    FROM public.channel_outbox o
    JOIN deferred d ON d.id = o.id
    CROSS JOIN LATERAL (SELECT fleet.now() + make_interval(secs => d.delay_seconds) AS at) AS due
    WHERE o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s
    ORDER BY o.id
    FOR UPDATE OF o
)
UPDATE public.channel_outbox o
SET status = CASE WHEN locked.is_late THEN 'failed' ELSE 'scheduled' END,
    scheduled_at = CASE WHEN locked.is_late THEN o.scheduled_at ELSE locked.due_at END,
    error_class = CASE WHEN locked.is_late THEN 'expired' ELSE o.error_class END,
    error_code = CASE WHEN locked.is_late THEN 'expired' ELSE d.error_code END,
    error_message = CASE WHEN locked.is_late THEN 'expires_at passes before it may go out: ' ELSE '' END || d.error_message,
    finalized_at = CASE WHEN locked.is_late THEN fleet.now() END,
    lease_token = NULL,
    lease_expires_at = NULL,
    updated_at = fleet.now()
FROM locked
JOIN deferred d ON d.id = locked.id
WHERE o.id = locked.id AND o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s
RETURNING o.id

-- name: start_lock
-- First half of a start: locks what may still start and says of each which refusal holds, if any. No row for a message:
-- it is no longer this claim's, its lease ran out, or it changed since it was read; it must not be sent from here.
-- The row lock is kept until the second half commits, so a refusal that commits before is seen and one after is late.
WITH wanted AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s) AS w (id uuid, address text, seen text, account text, account_tenant_id uuid)
)
SELECT o.id::text,
    CASE
        WHEN o.expires_at <= fleet.now() THEN 'expired'
        WHEN EXISTS (
            SELECT
            FROM fleet.suppressions s
            WHERE s.workspace_id = coalesce(o.workspace_id, o.tenant_id) AND s.channel = o.channel::text AND s.address = lower(w.address)
              AND (s.released_at IS NULL OR s.released_at <= s.created_at)
              AND (s.expires_at IS NULL OR s.expires_at > fleet.now())
        ) THEN 'suppressed'
        WHEN EXISTS (
            SELECT
            FROM fleet.pauses p
            WHERE p.scope_key = ANY (fleet.scope_keys(o.channel::text, coalesce(o.provider::text, %(provider)s), coalesce(o.workspace_id, o.tenant_id), o.campaign_id))
              AND (p.until IS NULL OR p.until > fleet.now())
              AND (p.due_before IS NULL OR coalesce(o.scheduled_at, o.created_at) < p.due_before)
        ) THEN 'paused'
        WHEN EXISTS (
            SELECT
            FROM fleet.unknowns u
            WHERE u.address = w.address AND u.channel = o.channel::text AND u.waits_for = 'look'
              AND (u.account = w.account OR u.account_tenant_id = w.account_tenant_id)
        ) THEN 'recipient_unknown'
        ELSE 'start'
    END,
    set_config('synchronous_commit', 'on', true)
FROM public.channel_outbox o
JOIN wanted w ON w.id = o.id
WHERE o.status IS NOT DISTINCT FROM 'queued'
  AND o.lease_token = %(token)s
  AND o.lease_expires_at > fleet.now()
  AND o.xmin::text = w.seen
ORDER BY o.id
FOR UPDATE OF o SKIP LOCKED

-- name: start_open
-- Second half of a start, in the same transaction: queued -> sending for what starts, each with its batch, and the
-- refusals for the rest. Every row named here is locked by this transaction.
WITH decided AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s) AS d (id uuid, verdict text, send_key uuid, sender text)
),
opened AS (
    INSERT INTO fleet.batches (
        send_key, channel, provider, account, account_tenant_id, member_ids, addresses, body, first_sent_at, worker,
        lease_token, lease_expires_at
    )
    SELECT b.send_key, %(channel)s, b.provider, b.account, b.account_tenant_id,
        ARRAY(SELECT json_array_elements_text(b.member_ids)::uuid), ARRAY(SELECT json_array_elements_text(b.addresses)),
        decode(b.body, 'base64'),
        fleet.now(), %(worker)s, %(lease)s, fleet.now() + make_interval(secs => %(lease_seconds)s)
    FROM json_to_recordset(%(batches)s) AS b (
        send_key uuid, provider text, account text, account_tenant_id uuid, member_ids json, addresses json, body text
    )
)
UPDATE public.channel_outbox o
SET status = CASE d.verdict
        WHEN 'start' THEN 'sending' WHEN 'expired' THEN 'failed' WHEN 'suppressed' THEN 'suppressed' ELSE 'scheduled'
    END,
    attempts = o.attempts + CASE d.verdict WHEN 'start' THEN 1 ELSE 0 END,
    send_key = CASE d.verdict WHEN 'start' THEN d.send_key ELSE o.send_key END,
    sender = CASE d.verdict WHEN 'start' THEN d.sender ELSE o.sender END,
    scheduled_at = CASE d.verdict
        WHEN 'recipient_unknown' THEN fleet.now() + make_interval(secs => %(recipient_seconds)s) ELSE o.scheduled_at
    END,
    lease_token = NULL,
    lease_expires_at = NULL,
    error_class = CASE d.verdict WHEN 'expired' THEN 'expired' ELSE o.error_class END,
    error_code = CASE d.verdict WHEN 'start' THEN o.error_code ELSE d.verdict END,
    error_message = CASE d.verdict
        WHEN 'expired' THEN 'expires_at passed before it could go out'
        WHEN 'suppressed' THEN 'the recipient must not be contacted on this channel'
        WHEN 'paused' THEN 'a pause holds it: fleet status shows who and why'
        WHEN 'recipient_unknown' THEN 'it waits until it is known whether an earlier message to this recipient went out'
        ELSE o.error_message
    END,
    finalized_at = CASE WHEN d.verdict IN ('expired', 'suppressed') THEN fleet.now() END,
    updated_at = fleet.now()
FROM decided d
WHERE o.id = d.id AND o.status IS NOT DISTINCT FROM 'queued' AND o.lease_token = %(token)s
RETURNING o.id::text, o.attempts

-- name: confirm
-- What a start has opened under this lease, asked when its commit was not acknowledged. No row: it did not commit.
SELECT o.id, o.attempts
FROM fleet.batches b
CROSS JOIN LATERAL unnest(b.member_ids) AS m (id)
JOIN public.channel_outbox o ON o.id = m.id AND o.send_key = b.send_key
WHERE b.lease_token = %(lease)s AND o.status = 'sending'

-- name: settle_lock
-- First half of settling messages that were tried before, in the transaction of the second: takes the locks of the
-- second in its order. An event that proves an earlier try holds the message until it has committed; the second half
-- begins after that, and its snapshot has the proof. A first try has no earlier one and needs no first half.
WITH answers AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s) AS a (id uuid, send_key uuid, lease uuid)
),
held AS MATERIALIZED (
    SELECT b.send_key
    FROM fleet.batches b
    JOIN (SELECT DISTINCT a.send_key, a.lease FROM answers a) AS a USING (send_key)
    WHERE a.lease = b.lease_token
    ORDER BY b.send_key
    FOR SHARE OF b
)
SELECT o.id
FROM public.channel_outbox o
JOIN answers a ON a.id = o.id AND a.send_key = o.send_key
JOIN held h ON h.send_key = a.send_key
WHERE (o.status IN ('sending', 'unknown')) IS TRUE
ORDER BY o.id
FOR UPDATE OF o

-- name: settle
-- sending -> sent | failed | scheduled | unknown, and for a replay unknown -> sent | failed: closes attempts, many
-- batches in one statement. No row for a message: its batch's lease is another's by now, or proof came first; the
-- answer is evidence and no longer a settlement.
-- A message that was tried before may have proof of an earlier acceptance by now: then it ends as sent whatever this try
-- says, and where this try, under another key, was accepted too, the two are flagged. What a person forgave by trying
-- again is no proof. Only rows with attempts > 1 look.
WITH answers AS MATERIALIZED (
    SELECT *
    FROM json_to_recordset(%(rows)s) AS a (
        id uuid, send_key uuid, lease uuid, status text, delay_seconds float8, response jsonb, provider_message_id text,
        error_class text, error_code text, error_message text, outcome text, counted boolean, http_status integer,
        provider text, account text, account_tenant_id uuid, address text, sender text, elapsed_seconds float8,
        age_seconds float8, poll_after_seconds float8
    )
),
held AS MATERIALIZED (
    SELECT b.send_key
    FROM fleet.batches b
    JOIN (SELECT DISTINCT a.send_key, a.lease FROM answers a) AS a USING (send_key)
    WHERE b.lease_token = a.lease
    ORDER BY b.send_key
    FOR SHARE OF b
),
locked AS MATERIALIZED (
    SELECT o.id, o.send_key, o.attempts, o.attempts_forgiven
    FROM public.channel_outbox o
    JOIN answers a ON a.id = o.id AND a.send_key = o.send_key
    JOIN held h ON h.send_key = a.send_key
    WHERE (o.status IN ('sending', 'unknown')) IS TRUE
    ORDER BY o.id
    FOR UPDATE OF o
),
judged AS MATERIALIZED (
    SELECT l.id, earlier.provider_message_id AS earlier_id,
        CASE WHEN earlier.send_key IS NULL THEN a.status ELSE 'sent' END AS status,
        coalesce(earlier.send_key <> l.send_key AND a.status = 'sent', false) AS is_duplicate,
        earlier.send_key IS NULL OR a.status = 'sent' AS speaks  -- its own words stand; otherwise proof overrules them
    FROM locked l
    JOIN answers a ON a.id = l.id AND a.send_key = l.send_key
    LEFT JOIN LATERAL (
        SELECT e.send_key, e.provider_message_id
        FROM fleet.attempts e
        WHERE l.attempts > 1
          AND e.message_id = l.id
          AND e.number > l.attempts_forgiven
          AND (e.outcome = 'accepted' OR e.resolution = 'accepted')
        ORDER BY e.send_key <> l.send_key DESC
        LIMIT 1
    ) AS earlier ON true
),
settled AS (
    UPDATE public.channel_outbox o
    SET status = j.status,
        sent_at = CASE j.status WHEN 'sent' THEN fleet.now() ELSE o.sent_at END,
        scheduled_at = CASE j.status WHEN 'scheduled' THEN fleet.now() + make_interval(secs => a.delay_seconds) ELSE o.scheduled_at END,
        provider_response = coalesce(a.response, o.provider_response),
        provider_message_id = coalesce(a.provider_message_id, j.earlier_id, o.provider_message_id),
        error_class = CASE WHEN j.speaks THEN a.error_class END,
        error_code = CASE WHEN j.is_duplicate THEN 'duplicate' WHEN j.speaks THEN a.error_code END,
        error_message = CASE WHEN j.is_duplicate THEN 'two requests for it were accepted' WHEN j.speaks THEN a.error_message END,
        finalized_at = CASE j.status WHEN 'failed' THEN fleet.now() END,
        poll_at = CASE j.status WHEN 'sent' THEN fleet.now() + make_interval(secs => a.poll_after_seconds) END,
        updated_at = fleet.now()
    FROM judged j
    JOIN answers a ON a.id = j.id
    WHERE o.id = j.id AND o.send_key = a.send_key
      AND (o.status = 'sending' OR (o.status = 'unknown' AND j.status IN ('sent', 'failed', 'unknown')))
    RETURNING o.id, o.attempts, o.channel::text, o.status, j.is_duplicate, o.campaign_id,
        coalesce(o.workspace_id, o.tenant_id) AS workspace_id
),
hinted AS (
    INSERT INTO fleet.campaign_hints (campaign_id, at)
    SELECT DISTINCT s.campaign_id, fleet.now() FROM settled s WHERE s.campaign_id IS NOT NULL AND s.status = 'sent'
),
flagged AS (
    INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
    SELECT 'settle', 'duplicate', s.workspace_id, s.id::text, jsonb_build_object('attempt', s.attempts)
    FROM settled s
    WHERE s.is_duplicate
),
unresolved AS (
    INSERT INTO fleet.unknowns (
        attempt_id, message_id, send_key, channel, provider, account, account_tenant_id, address, sender, started_at,
        ended_at, waits_for
    )
    SELECT fleet.attempt_id(a.send_key, s.id), s.id, a.send_key, s.channel, a.provider, a.account, a.account_tenant_id,
        a.address, a.sender, clock.ended_at - make_interval(secs => a.elapsed_seconds), clock.ended_at,
        CASE WHEN a.provider = ANY (%(askable)s::text[]) THEN 'look' ELSE 'person' END
    FROM settled s
    JOIN answers a ON a.id = s.id
    CROSS JOIN LATERAL (SELECT fleet.now() - make_interval(secs => a.age_seconds) AS ended_at) AS clock
    WHERE s.status = 'unknown' AND a.provider <> ALL (%(idempotent)s::text[])
),
closed AS (
    INSERT INTO fleet.attempts (
        message_id, number, counted, id, send_key, provider, account, account_tenant_id, address, sender, started_at,
        finished_at, outcome, http_status, error_code, provider_message_id, worker
    )
    SELECT s.id, s.attempts, a.counted, fleet.attempt_id(a.send_key, s.id), a.send_key, a.provider, a.account,
        a.account_tenant_id, lower(a.address), a.sender,
        clock_timestamp() - make_interval(secs => a.age_seconds + a.elapsed_seconds),
        clock_timestamp() - make_interval(secs => a.age_seconds),
        a.outcome, a.http_status, a.error_code, a.provider_message_id, %(worker)s
    FROM settled s
    JOIN answers a ON a.id = s.id
),
done AS (
    DELETE FROM fleet.batches b
    USING json_to_recordset(%(finished)s) AS f (send_key uuid, lease uuid)
    WHERE b.send_key = f.send_key AND b.lease_token = f.lease
),
replayable AS (
    UPDATE fleet.batches b
    SET tainted = true,
        lease_token = NULL,
        lease_expires_at = fleet.now() + make_interval(secs => k.delay_seconds)
    FROM json_to_recordset(%(kept)s) AS k (send_key uuid, lease uuid, delay_seconds float8)
    WHERE b.send_key = k.send_key AND b.lease_token = k.lease
)
SELECT s.id::text, set_config('synchronous_commit', 'on', true)
FROM settled s
