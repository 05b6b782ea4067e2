-- Suppressions by hand, and what is asked of all of them. One holds where it was not taken back since it was last
-- brought about, and has not expired; starts.sql asks the same.

-- name: add
-- Suppresses addresses by hand. No row for an address: a person has suppressed it already.
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s) AS r (address text, masked text)
),
added AS (
    INSERT INTO fleet.suppressions AS s (workspace_id, channel, address, reason, source, created_at)
    SELECT %(workspace_id)s, %(channel)s, lower(g.address), %(reason)s, %(source)s, fleet.now()
    FROM given g
    GROUP BY lower(g.address)
    ORDER BY lower(g.address)
    ON CONFLICT (workspace_id, channel, address, reason) DO UPDATE
    SET source = excluded.source, created_at = greatest(excluded.created_at, s.released_at)
    WHERE s.released_at > s.created_at
    RETURNING s.address
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
    SELECT %(actor)s, 'suppress', %(workspace_id)s, min(g.masked), jsonb_build_object('channel', %(channel)s::text, 'why', %(why)s::text)
    FROM added a
    JOIN given g ON lower(g.address) = a.address
    GROUP BY a.address
)
SELECT a.address FROM added a

-- name: release
-- Ends the reasons that hold, all or one. No row for an address: nothing held that was to be ended. A reason that a
-- vendor's faster clock told ends as well.
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s) AS r (address text, masked text)
),
chosen AS MATERIALIZED (
    SELECT s.workspace_id, s.channel, s.address, s.reason
    FROM fleet.suppressions s
    WHERE s.workspace_id = %(workspace_id)s AND s.channel = %(channel)s AND s.address IN (SELECT lower(g.address) FROM given g)
      AND (%(reason)s::text IS NULL OR s.reason = %(reason)s::text)
      AND (s.released_at IS NULL OR s.released_at <= s.created_at)
      AND (s.expires_at IS NULL OR s.expires_at > fleet.now())
    ORDER BY s.workspace_id, s.channel, s.address, s.reason
    FOR UPDATE OF s
),
released AS (
    UPDATE fleet.suppressions s
    SET released_at = greatest(fleet.now(), s.created_at + interval '1 microsecond')
    FROM chosen c
    WHERE (s.workspace_id, s.channel, s.address, s.reason) = (c.workspace_id, c.channel, c.address, c.reason)
    RETURNING s.address, s.reason
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
    SELECT %(actor)s, 'release_suppression', %(workspace_id)s, min(g.masked),
        jsonb_build_object('channel', %(channel)s::text, 'why', %(why)s::text, 'reason', r.reason)
    FROM released r
    JOIN given g ON lower(g.address) = r.address
    GROUP BY r.address, r.reason
)
SELECT r.address, r.reason FROM released r

-- name: find
-- Suppressions that match, in the order of their key, after a position in it. What only notes a release of something
-- that never was is none.
SELECT s.workspace_id, s.channel, s.address, s.reason, s.source, s.created_at, s.expires_at, s.released_at, h.holds
FROM fleet.suppressions s
CROSS JOIN LATERAL (
    SELECT (s.released_at IS NULL OR s.released_at <= s.created_at)
        AND (s.expires_at IS NULL OR s.expires_at > fleet.now()) AS holds
) AS h
WHERE s.created_at > '-infinity'
  AND (%(ended)s OR h.holds)
  AND (%(workspace_id)s::uuid IS NULL OR s.workspace_id = %(workspace_id)s::uuid)
  AND (%(channel)s::text IS NULL OR s.channel = %(channel)s::text)
  AND (%(reason)s::text IS NULL OR s.reason = %(reason)s::text)
  AND (%(spellings)s::text[] IS NULL OR s.address = ANY (ARRAY(SELECT lower(x) FROM unnest(%(spellings)s::text[]) AS x)))
  AND (%(after_workspace_id)s::uuid IS NULL OR (s.workspace_id, s.channel, s.address, s.reason)
      > (%(after_workspace_id)s::uuid, %(after_channel)s::text, %(after_address)s::text, %(after_reason)s::text))
ORDER BY s.workspace_id, s.channel, s.address, s.reason
LIMIT %(limit)s

-- name: suppressed
-- Those of the addresses that hold for a reason or another. No row for an address: nothing keeps it from being written to.
SELECT given.address
FROM unnest(%(addresses)s::text[]) AS given (address)
WHERE EXISTS (
    SELECT
    FROM fleet.suppressions s
    WHERE s.workspace_id = %(workspace_id)s AND s.channel = %(channel)s AND s.address = lower(given.address)
      AND (%(reason)s::text IS NULL OR s.reason = %(reason)s::text)
      AND (s.released_at IS NULL OR s.released_at <= s.created_at)
      AND (s.expires_at IS NULL OR s.expires_at > fleet.now())
)

-- name: revealed
-- Notes that a person was shown whole addresses.
INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
VALUES (%(actor)s, 'reveal_suppressions', %(workspace_id)s, %(subject)s, %(detail)s::jsonb)
