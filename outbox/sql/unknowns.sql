-- Attempts whose outcome nobody knows: looked up in the vendor's record, one recipient of one account at a time.

-- name: claim
-- Takes what is due for a look, for the time that its bundle is in Redis and at work. No row: nothing is due.
WITH due AS MATERIALIZED (
    SELECT u.attempt_id
    FROM fleet.unknowns u
    WHERE u.waits_for = 'look'
      AND u.channel = %(channel)s
      AND (u.lease_expires_at IS NULL OR u.lease_expires_at < fleet.now())
      AND greatest(u.not_before, u.ended_at + make_interval(secs => (%(waits)s::float8[])[u.looks + 1])) <= fleet.now()
    ORDER BY u.ended_at
    LIMIT %(limit)s
    FOR UPDATE OF u SKIP LOCKED
)
UPDATE fleet.unknowns u
SET lease_token = %(token)s, lease_expires_at = fleet.now() + make_interval(secs => %(lease_seconds)s)
WHERE u.attempt_id = ANY (ARRAY(SELECT due.attempt_id FROM due))
RETURNING u.attempt_id::text

-- name: read
-- Those of a bundle that are still its relay's claim. No row: the claim ran out, or proof came meanwhile.
SELECT u.attempt_id, u.message_id, u.send_key, u.channel, u.provider, u.account, u.account_tenant_id, u.address, u.sender,
    u.started_at, u.ended_at
FROM fleet.unknowns u
WHERE u.attempt_id = ANY (%(ids)s::uuid[]) AND u.lease_token = %(token)s
ORDER BY u.started_at, u.attempt_id

-- name: postpone
-- Puts a look off without counting it, or gives it back. No row: it is another's by now.
UPDATE fleet.unknowns u
SET lease_token = NULL, lease_expires_at = NULL, not_before = fleet.now() + make_interval(secs => %(delay_seconds)s)
WHERE u.attempt_id = ANY (%(ids)s::uuid[]) AND u.lease_token = %(token)s
RETURNING u.attempt_id

-- name: leave
-- Leaves attempts to a person that cannot be looked up, once the horizon is over; until then the look is put off. No row
-- for a message: it is put off, or no longer unknown.
WITH given AS (
    UPDATE fleet.unknowns u
    SET waits_for = CASE WHEN late.is_late THEN 'person' ELSE 'look' END,
        lease_token = NULL,
        lease_expires_at = NULL,
        not_before = fleet.now() + make_interval(secs => %(delay_seconds)s)
    FROM fleet.unknowns o
    CROSS JOIN LATERAL (SELECT fleet.now() >= o.ended_at + make_interval(secs => %(horizon_seconds)s) AS is_late) AS late
    WHERE o.attempt_id = u.attempt_id AND u.attempt_id = ANY (%(ids)s::uuid[]) AND u.lease_token = %(token)s
    RETURNING u.message_id, u.send_key, late.is_late
)
UPDATE public.channel_outbox o
SET error_code = %(code)s,
    error_message = %(reason)s || '; a person decides: fleet messages arrived, or fleet messages send-again',
    updated_at = fleet.now()
FROM given g
WHERE o.id = g.message_id AND o.send_key = g.send_key AND o.status = 'unknown' AND g.is_late
RETURNING o.id

-- name: busy
-- Is something under way to this recipient under this account, that the vendor's record may show before our ledger does?
SELECT EXISTS (
    SELECT FROM fleet.batches b WHERE b.account = %(account)s AND b.channel = %(channel)s AND %(address)s = ANY (b.addresses)
)

-- name: lock_record
-- What was found in one vendor's record is written by one transaction at a time: two recipients, or two keys of one
-- account, may be shown the same record, and only one of them may take it.
SELECT pg_advisory_xact_lock(hashtextextended('look ' || %(provider)s, 0)),
    set_config('synchronous_commit', 'on', true)

-- name: members
-- Every attempt to this recipient that waits for a look, with its message's content; the oldest first. No row: proof
-- came meanwhile.
SELECT u.attempt_id, u.message_id, u.send_key, u.channel, u.provider, u.account, u.account_tenant_id, u.address, u.sender,
    u.started_at, u.ended_at, o.payload::text
FROM fleet.unknowns u
JOIN public.channel_outbox o ON o.id = u.message_id
WHERE u.address = %(address)s AND u.account = %(account)s AND u.channel = %(channel)s AND u.waits_for = 'look'
ORDER BY u.started_at, u.attempt_id
FOR UPDATE OF o, u

-- name: known
-- Which of these vendor ids belong to other attempts already?
SELECT a.provider_message_id
FROM fleet.attempts a
WHERE a.provider = %(provider)s AND a.provider_message_id = ANY (%(vendor_ids)s::text[])

-- name: resolve
-- unknown -> sent where the record shows the message; unknown -> scheduled | failed (when its budget is used up) where
-- the last look shows no trace of it; otherwise it waits for its next look, or for a person. Every row named here is
-- locked by this transaction. No row for a message: it stays unknown.
WITH verdicts AS MATERIALIZED (
    SELECT *
    FROM json_to_recordset(%(rows)s) AS v (
        attempt_id uuid, verdict text, provider_message_id text, response jsonb, accepted_at timestamptz
    )
),
judged AS MATERIALIZED (
    SELECT v.*, u.message_id, u.send_key, u.provider, o.attempts AS number,
        v.verdict = 'absent' AND u.looks + 1 >= %(looks)s
            AND fleet.now() >= u.ended_at + make_interval(secs => %(horizon_seconds)s)
            AND NOT EXISTS (SELECT FROM fleet.events e WHERE e.attempt_id = u.attempt_id AND e.applied_at IS NULL)
            AS is_absent,
        tried.counted >= %(max_attempts)s AS is_exhausted,
        tried.died >= %(max_deaths)s AS is_deadly
    FROM verdicts v
    JOIN fleet.unknowns u USING (attempt_id)
    JOIN public.channel_outbox o ON o.id = u.message_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE a.counted) AS counted, count(*) FILTER (WHERE a.error_code = 'lease_expired') AS died
        FROM fleet.attempts a
        WHERE a.message_id = u.message_id AND a.number > o.attempts_forgiven
    ) AS tried
),
ended AS MATERIALIZED (
    SELECT j.*, CASE
            WHEN j.verdict = 'found' THEN 'sent'
            WHEN j.is_exhausted OR j.is_deadly THEN 'failed'
            ELSE 'scheduled'
        END AS status
    FROM judged j
    WHERE j.verdict = 'found' OR (j.is_absent AND %(resend)s)
),
moved AS (
    UPDATE public.channel_outbox o
    SET status = e.status,
        sent_at = CASE e.status WHEN 'sent' THEN coalesce(e.accepted_at, fleet.now()) ELSE o.sent_at END,
        scheduled_at = CASE e.status WHEN 'scheduled' THEN fleet.now() ELSE o.scheduled_at END,
        provider_response = coalesce(e.response, o.provider_response),
        provider_message_id = coalesce(e.provider_message_id, o.provider_message_id),
        error_class = CASE e.status WHEN 'failed' THEN 'exhausted' END,
        error_code = CASE WHEN e.status = 'sent' THEN NULL WHEN e.status = 'failed' AND e.is_deadly THEN 'poison' ELSE o.error_code END,
        error_message = CASE
            WHEN e.status = 'sent' THEN NULL
            WHEN e.is_deadly THEN 'its worker died three times while sending it; the vendor has no trace of it'
            ELSE 'the vendor has no trace of its last attempt'
        END,
        finalized_at = CASE e.status WHEN 'failed' THEN fleet.now() END,
        poll_at = CASE WHEN e.status = 'sent' AND e.provider = ANY (%(polled)s::text[]) THEN fleet.now() END,
        updated_at = fleet.now()
    FROM ended e
    WHERE o.id = e.message_id AND o.status = 'unknown' AND o.send_key = e.send_key
    RETURNING o.id, o.status, o.campaign_id
),
hinted AS (
    INSERT INTO fleet.campaign_hints (campaign_id, at)
    SELECT DISTINCT m.campaign_id, fleet.now() FROM moved m WHERE m.campaign_id IS NOT NULL AND m.status = 'sent'
),
doubled AS (
    -- Proof of another attempt came first, and now this one is found as well.
    UPDATE public.channel_outbox o
    SET error_code = 'duplicate', error_message = 'two requests for it were accepted', updated_at = fleet.now()
    FROM ended e
    WHERE o.id = e.message_id AND e.verdict = 'found' AND o.status IN ('sent', 'delivered')
      AND EXISTS (
          SELECT
          FROM fleet.attempts a
          WHERE a.message_id = o.id AND a.send_key <> e.send_key AND a.number > o.attempts_forgiven
            AND (a.outcome = 'accepted' OR a.resolution = 'accepted')
      )
    RETURNING o.id, coalesce(o.workspace_id, o.tenant_id) AS workspace_id, e.number
),
flagged AS (
    INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
    SELECT 'look-up', 'duplicate', d.workspace_id, d.id::text, jsonb_build_object('attempt', d.number)
    FROM doubled d
),
asked AS (
    UPDATE public.channel_outbox o
    SET error_code = j.verdict,
        error_message = CASE j.verdict
            WHEN 'ambiguous' THEN 'the vendor''s record shows messages to this recipient that fit none of ours'
            ELSE 'the vendor has no trace of it'
        END || '; a person decides: fleet messages arrived, or fleet messages send-again',
        updated_at = fleet.now()
    FROM judged j
    WHERE o.id = j.message_id AND o.status = 'unknown' AND o.send_key = j.send_key
      AND (j.verdict = 'ambiguous' OR (j.is_absent AND NOT %(resend)s))
),
closed AS (
    UPDATE fleet.attempts a
    SET resolution = CASE e.status WHEN 'sent' THEN 'accepted' ELSE 'absent' END,
        resolved_at = fleet.now(),
        resolved_by = 'look-up',
        provider_message_id = CASE WHEN a.number = e.number THEN e.provider_message_id END
    FROM ended e
    WHERE a.message_id = e.message_id AND a.send_key = e.send_key AND a.outcome = 'unknown' AND a.resolution IS NULL
),
gone AS (
    DELETE FROM fleet.unknowns u
    USING ended e
    WHERE u.attempt_id = e.attempt_id
),
kept AS (
    UPDATE fleet.unknowns u
    SET looks = u.looks + 1,
        waits_for = CASE WHEN j.verdict = 'ambiguous' OR j.is_absent THEN 'person' ELSE 'look' END,
        not_before = CASE WHEN u.looks + 1 >= %(looks)s THEN fleet.now() + make_interval(secs => %(again_seconds)s) END,
        lease_token = NULL,
        lease_expires_at = NULL
    FROM judged j
    WHERE u.attempt_id = j.attempt_id AND NOT EXISTS (SELECT FROM ended e WHERE e.attempt_id = j.attempt_id)
)
SELECT m.id FROM moved m
