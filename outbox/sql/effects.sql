-- What applied events mean beyond their message. Each statement takes the ids of events that were applied in this
-- transaction, and comes to the same however often and in whatever order they come.

-- name: suppress
-- The recipient is not contacted any more. What happened before a release does not bring the suppression back.
INSERT INTO fleet.suppressions AS s (workspace_id, channel, address, reason, source, created_at)
SELECT DISTINCT ON (e.workspace_id, e.channel, e.address, k.reason)
    e.workspace_id, e.channel, e.address, k.reason, 'event ' || e.id, e.occurred_at
FROM fleet.events e
JOIN json_to_recordset(%(suppressing)s) AS k (kind text, reason text) USING (kind)
WHERE e.id = ANY (%(ids)s::bigint[]) AND e.workspace_id IS NOT NULL AND e.channel IS NOT NULL AND e.address IS NOT NULL
ORDER BY e.workspace_id, e.channel, e.address, k.reason, e.occurred_at DESC
ON CONFLICT (workspace_id, channel, address, reason) DO UPDATE
SET source = excluded.source, created_at = excluded.created_at, expires_at = NULL, released_at = NULL
WHERE s.released_at < excluded.created_at

-- name: suppress_soft
-- A recipient that was out of reach for several messages in a row of days is left alone for a while.
INSERT INTO fleet.suppressions AS s (workspace_id, channel, address, reason, source, created_at, expires_at)
SELECT told.workspace_id, told.channel, told.address, %(reason)s, counted.bounced || ' soft bounces', counted.last_at,
    counted.last_at + make_interval(days => %(rest_days)s)
FROM (
    SELECT DISTINCT e.workspace_id, e.channel, e.address
    FROM fleet.events e
    WHERE e.id = ANY (%(ids)s::bigint[]) AND e.kind = 'soft_bounced' AND e.workspace_id IS NOT NULL AND e.address IS NOT NULL
    ORDER BY e.workspace_id, e.channel, e.address
) AS told
CROSS JOIN LATERAL (
    SELECT count(DISTINCT x.message_id) AS bounced, max(x.occurred_at) AS last_at
    FROM fleet.events x
    WHERE x.kind = 'soft_bounced' AND x.address = told.address AND x.channel = told.channel
      AND x.workspace_id = told.workspace_id AND x.applied_at IS NOT NULL
      AND x.occurred_at > fleet.now() - make_interval(days => %(window_days)s)
) AS counted
WHERE counted.bounced >= %(most)s
ON CONFLICT (workspace_id, channel, address, reason) DO UPDATE
SET source = excluded.source, created_at = excluded.created_at, expires_at = excluded.expires_at, released_at = NULL
WHERE s.created_at < excluded.created_at AND (s.released_at IS NULL OR s.released_at < excluded.created_at)

-- name: release
-- The recipient wants to hear from us again. It is kept as well where nothing was suppressed yet: what is told late, and
-- happened before, suppresses nobody. One number may serve many workspaces, and the vendor opens it for all of them: so
-- it ends in each that the account has written from.
INSERT INTO fleet.suppressions AS s (workspace_id, channel, address, reason, source, created_at, released_at)
SELECT w.workspace_id, e.channel, e.address, k.reason, 'event ' || min(e.id), '-infinity', max(e.occurred_at)
FROM fleet.events e
JOIN json_to_recordset(%(releasing)s) AS k (kind text, reason text) USING (kind)
CROSS JOIN LATERAL (
    SELECT e.workspace_id
    UNION
    SELECT x.workspace_id
    FROM fleet.attempts a
    JOIN public.channel_outbox o ON o.id = a.message_id
    JOIN fleet.suppressions x
        ON x.workspace_id = coalesce(o.workspace_id, o.tenant_id) AND x.channel = e.channel AND x.address = e.address
        AND x.reason = k.reason
    WHERE a.address = e.address AND a.provider = e.provider AND a.account_tenant_id = e.tenant_id
) AS w
WHERE e.id = ANY (%(ids)s::bigint[]) AND w.workspace_id IS NOT NULL AND e.channel IS NOT NULL AND e.address IS NOT NULL
GROUP BY w.workspace_id, e.channel, e.address, k.reason
ORDER BY w.workspace_id, e.channel, e.address, k.reason
ON CONFLICT (workspace_id, channel, address, reason) DO UPDATE
SET released_at = excluded.released_at
WHERE s.created_at <= excluded.released_at AND (s.released_at IS NULL OR s.released_at < excluded.released_at)
