-- Batches after their start: leases that ran out, replays, renewals.
-- key_seconds is an object: provider -> for how long after its first use the vendor surely keeps our key. A provider that
-- is not in it keeps none, and nothing of it is replayed.

-- name: renew
-- Gives batches in flight a fresh lease. No row for a batch: it was settled, or a rescuer took it; what it still has
-- to send must not be sent from here.
UPDATE fleet.batches b
SET lease_expires_at = fleet.now() + make_interval(secs => %(lease_seconds)s)
FROM json_to_recordset(%(rows)s) AS r (send_key uuid, lease uuid)
WHERE b.send_key = r.send_key AND b.lease_token = r.lease
RETURNING b.send_key::text

-- name: expire
-- A batch's lease ran out: its worker died, or is as good as dead. What it had not settled is unknown, and its attempt
-- is closed so. Where the vendor honours the key, the batch waits for its replay; otherwise it goes. So does one whose
-- worker died between two halves of a settlement: members that were refused may be scheduled again, and a replay would
-- carry them as well. No row: every batch is alive.
WITH dead AS MATERIALIZED (
    SELECT b.*, b.body IS NOT NULL
        AND coalesce(
            b.first_sent_at > fleet.now() - make_interval(secs => (%(key_seconds)s::jsonb ->> b.provider)::float8), false
        )
        AND NOT EXISTS (
            SELECT
            FROM fleet.attempts a
            WHERE a.message_id = ANY (b.member_ids) AND a.send_key = b.send_key AND a.outcome NOT IN ('accepted', 'unknown')
        ) AS replayable
    FROM fleet.batches b
    WHERE b.lease_token IS NOT NULL AND b.lease_expires_at < fleet.now() - make_interval(secs => %(margin_seconds)s)
    ORDER BY b.send_key
    LIMIT %(limit)s
    FOR UPDATE OF b SKIP LOCKED
),
locked AS MATERIALIZED (
    SELECT o.id, m.address, d.send_key, d.provider, d.account
    FROM dead d
    CROSS JOIN LATERAL unnest(d.member_ids, d.addresses) AS m (id, address)
    JOIN public.channel_outbox o ON o.id = m.id AND o.send_key = d.send_key
    WHERE o.status IN ('sending', 'unknown')
    ORDER BY o.id
    FOR UPDATE OF o
),
marked AS (
    UPDATE public.channel_outbox o
    SET status = 'unknown',
        error_code = 'lease_expired',
        error_message = 'the worker died while sending; nobody can tell yet whether the provider took it',
        updated_at = fleet.now()
    FROM locked l
    WHERE o.id = l.id AND o.status IN ('sending', 'unknown') AND o.send_key = l.send_key
    RETURNING o.id, o.attempts, o.sender, l.address, l.send_key, l.provider, l.account
),
unresolved AS (
    INSERT INTO fleet.unknowns (
        attempt_id, message_id, send_key, channel, provider, account, account_tenant_id, address, sender, started_at,
        ended_at, waits_for
    )
    SELECT fleet.attempt_id(m.send_key, m.id), m.id, m.send_key, d.channel, m.provider, m.account, d.account_tenant_id,
        m.address, m.sender, d.first_sent_at, d.lease_expires_at,
        CASE WHEN m.provider = ANY (%(askable)s::text[]) THEN 'look' ELSE 'person' END
    FROM marked m
    JOIN dead d USING (send_key)
    WHERE NOT d.replayable
    ON CONFLICT (attempt_id) DO NOTHING  -- a member that was settled as unknown before its batch's worker died
),
closed AS (
    INSERT INTO fleet.attempts (
        message_id, number, counted, id, send_key, provider, account, account_tenant_id, address, sender, started_at,
        finished_at, outcome, error_code
    )
    SELECT m.id, m.attempts, true, fleet.attempt_id(m.send_key, m.id), m.send_key, m.provider, m.account,
        d.account_tenant_id, lower(m.address), m.sender, d.lease_expires_at, fleet.now(), 'unknown', 'lease_expired'
    FROM marked m
    JOIN dead d USING (send_key)
    ON CONFLICT (message_id, number) DO NOTHING
),
kept AS (
    UPDATE fleet.batches b
    SET tainted = true, lease_token = NULL, lease_expires_at = fleet.now()
    FROM dead d
    WHERE b.send_key = d.send_key AND d.replayable
),
gone AS (
    DELETE FROM fleet.batches b
    USING dead d
    WHERE b.send_key = d.send_key AND NOT d.replayable
)
SELECT d.send_key, d.replayable, (SELECT count(*) FROM marked m WHERE m.send_key = d.send_key)
FROM dead d

-- name: claim_replays
-- Takes the batches whose replay is due, for the time that their bundle is in Redis. No row: none is due, or everything is
-- stopped, or this database is a copy; a pause of less holds no replay, which is the same send as its start.
WITH due AS MATERIALIZED (
    SELECT b.send_key
    FROM fleet.batches b
    WHERE b.lease_token IS NULL
      AND (SELECT fleet.is_recognised())
      AND b.lease_expires_at <= fleet.now()
      AND b.first_sent_at > fleet.now() - make_interval(secs => (%(key_seconds)s::jsonb ->> b.provider)::float8)
      AND NOT EXISTS (
          SELECT
          FROM fleet.pauses p
          WHERE p.scope_key = 'everything' AND p.due_before IS NULL AND (p.until IS NULL OR p.until > fleet.now())
      )
    ORDER BY b.lease_expires_at
    LIMIT %(limit)s
    FOR UPDATE OF b SKIP LOCKED
)
UPDATE fleet.batches b
SET lease_token = %(token)s, lease_expires_at = fleet.now() + make_interval(secs => %(lease_seconds)s)
WHERE b.send_key = ANY (ARRAY(SELECT due.send_key FROM due)) AND b.lease_token IS NULL
RETURNING b.send_key::text, b.channel

-- name: begin_replay
-- The worker takes a replay over from its relay under a lease of its own, and counts the request. No row: the lease
-- ran out in Redis, another worker has it, a person closed it, or everything is stopped; nothing is sent.
WITH taken AS (
    UPDATE fleet.batches b
    SET lease_token = %(lease)s,
        lease_expires_at = fleet.now() + make_interval(secs => %(lease_seconds)s),
        worker = %(worker)s,
        replays = b.replays + 1
    WHERE b.send_key = %(send_key)s AND b.lease_token = %(token)s AND b.lease_expires_at > fleet.now()
      AND NOT EXISTS (
          SELECT
          FROM fleet.pauses p
          WHERE p.scope_key = 'everything' AND p.due_before IS NULL AND (p.until IS NULL OR p.until > fleet.now())
      )
    RETURNING b.*
),
counted AS (
    UPDATE public.channel_outbox o
    SET attempts = o.attempts + 1, updated_at = fleet.now()
    FROM taken t
    WHERE o.id = ANY (t.member_ids) AND o.status = 'unknown' AND o.send_key = t.send_key
    RETURNING o.id, o.attempts, o.sender
)
SELECT t.provider, t.account, t.account_tenant_id, t.member_ids, t.body, t.replays,
    coalesce((SELECT json_object_agg(c.id, c.sender) FROM counted c), '{}'),
    set_config('synchronous_commit', 'on', true)
FROM taken t

-- name: postpone_replay
-- Gives a replay back untried. No row: it is another's by now.
UPDATE fleet.batches b
SET lease_token = NULL, lease_expires_at = fleet.now() + make_interval(secs => %(delay_seconds)s)
WHERE b.send_key = ANY (%(send_keys)s::uuid[]) AND b.lease_token = %(token)s
RETURNING b.send_key

-- name: withdraw_replay
-- Gives a replay back that was begun and whose request was never made. No row: it is another's by now.
WITH withdrawn AS (
    UPDATE fleet.batches b
    SET lease_token = NULL,
        lease_expires_at = fleet.now() + make_interval(secs => %(delay_seconds)s),
        replays = b.replays - 1
    WHERE b.send_key = %(send_key)s AND b.lease_token = %(lease)s
    RETURNING b.send_key, b.member_ids
)
UPDATE public.channel_outbox o
SET attempts = o.attempts - 1, updated_at = fleet.now()
FROM withdrawn w
WHERE o.id = ANY (w.member_ids) AND o.status = 'unknown' AND o.send_key = w.send_key
RETURNING o.id

-- name: close
-- Ends the replays of batches that can no longer be replayed: their members stay unknown, for a look-up or a person.
-- No row: there is none.
WITH closed AS (
    DELETE FROM fleet.batches b
    WHERE b.lease_token IS NULL
      AND b.first_sent_at <= fleet.now() - make_interval(secs => coalesce((%(key_seconds)s::jsonb ->> b.provider)::float8, 0))
    RETURNING b.*
),
unresolved AS (
    INSERT INTO fleet.unknowns (
        attempt_id, message_id, send_key, channel, provider, account, account_tenant_id, address, sender, started_at,
        ended_at, waits_for
    )
    SELECT fleet.attempt_id(c.send_key, o.id), o.id, c.send_key, c.channel, c.provider, c.account, c.account_tenant_id,
        m.address, o.sender, c.first_sent_at, fleet.now(),
        CASE WHEN c.provider = ANY (%(askable)s::text[]) THEN 'look' ELSE 'person' END
    FROM closed c
    CROSS JOIN LATERAL unnest(c.member_ids, c.addresses) AS m (id, address)
    JOIN public.channel_outbox o ON o.id = m.id AND o.send_key = c.send_key AND o.status = 'unknown'
)
SELECT c.send_key FROM closed c

-- name: orphans
-- sending -> unknown: rows that are sending under a batch that does not exist. It cannot happen by our statements; a
-- restored backup can hold it. No row: there is none.
WITH orphaned AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    WHERE o.status = 'sending'
      AND o.updated_at < fleet.now() - make_interval(secs => %(lease_seconds)s)
      AND NOT EXISTS (SELECT FROM fleet.batches b WHERE b.send_key = o.send_key)
    ORDER BY o.id
    LIMIT %(limit)s
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE public.channel_outbox o
SET status = 'unknown',
    error_code = 'batch_missing',
    error_message = 'it was sending and its batch is gone; nobody can tell whether the provider took it',
    updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT orphaned.id FROM orphaned)) AND o.status = 'sending'
RETURNING o.id
