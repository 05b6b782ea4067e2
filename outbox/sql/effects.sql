-- What applied events mean beyond their message. Each statement takes the ids of events that were applied in this
-- transaction, and comes to the same however often and in whatever order they come: a row of fleet.suppressions keeps
-- the last time that it was brought about (created_at) and the last time that it was taken back (released_at). Both only
-- move forwards, and it stands where it was not taken back since.

-- name: take_turns
-- Whoever applies soft bounces of an address waits for whoever else does: each counts what the one before has committed,
-- and three workers with one bounce each find the third.
SELECT pg_advisory_xact_lock(told.key)
FROM (
    SELECT DISTINCT hashtextextended(concat_ws(' ', 'soft_bounced', e.workspace_id, e.channel, e.address), 0) AS key
    FROM fleet.events e
    WHERE e.id = ANY (%(ids)s::bigint[]) AND e.kind = 'soft_bounced'
    ORDER BY key
) AS told

-- name: suppress
-- The recipient is not contacted any more.
INSERT INTO fleet.suppressions AS s (workspace_id, channel, address, reason, source, created_at)
SELECT DISTINCT ON (e.workspace_id, e.channel, e.address, k.reason)
    e.workspace_id, e.channel, e.address, k.reason, 'event ' || e.id, e.occurred_at
FROM fleet.events e
JOIN json_to_recordset(%(suppressing)s) AS k (kind text, reason text) USING (kind)
WHERE e.id = ANY (%(ids)s::bigint[]) AND e.workspace_id IS NOT NULL AND e.channel IS NOT NULL AND e.address IS NOT NULL
ORDER BY e.workspace_id, e.channel, e.address, k.reason, e.occurred_at DESC, e.id
ON CONFLICT (workspace_id, channel, address, reason) DO UPDATE
SET source = excluded.source, created_at = excluded.created_at
WHERE s.created_at < excluded.created_at

-- name: suppress_soft
-- A recipient that did not take so many messages within so many days is left alone for a while, counted from the last
-- bounce that filled the number. Looked at is every stretch of days that one of these events is in: it comes to the same
-- whether they are applied as they happen, or months later. What was released begins to count anew.
INSERT INTO fleet.suppressions AS s (workspace_id, channel, address, reason, source, created_at, expires_at)
SELECT told.workspace_id, told.channel, told.address, %(reason)s, 'soft bounces', max(ending.at),
    max(ending.at) + make_interval(days => %(rest_days)s)
FROM (
    SELECT e.workspace_id, e.channel, e.address, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at,
        coalesce(max(r.released_at), '-infinity') AS released_at
    FROM fleet.events e
    LEFT JOIN fleet.suppressions r
        ON (r.workspace_id, r.channel, r.address, r.reason) = (e.workspace_id, e.channel, e.address, %(reason)s)
    WHERE e.id = ANY (%(ids)s::bigint[]) AND e.kind = 'soft_bounced' AND e.workspace_id IS NOT NULL AND e.address IS NOT NULL
    GROUP BY e.workspace_id, e.channel, e.address
) AS told
CROSS JOIN LATERAL (
    SELECT DISTINCT x.occurred_at AS at
    FROM fleet.events x
    WHERE x.kind = 'soft_bounced' AND x.address = told.address AND x.channel = told.channel
      AND x.workspace_id = told.workspace_id AND x.applied_at IS NOT NULL AND x.occurred_at > told.released_at
      AND x.occurred_at >= told.first_at AND x.occurred_at < told.last_at + make_interval(days => %(window_days)s)
) AS ending
CROSS JOIN LATERAL (
    SELECT count(DISTINCT x.message_id) AS bounced
    FROM fleet.events x
    WHERE x.kind = 'soft_bounced' AND x.address = told.address AND x.channel = told.channel
      AND x.workspace_id = told.workspace_id AND x.applied_at IS NOT NULL AND x.occurred_at > told.released_at
      AND x.occurred_at <= ending.at AND x.occurred_at > ending.at - make_interval(days => %(window_days)s)
) AS counted
WHERE counted.bounced >= %(most)s
GROUP BY told.workspace_id, told.channel, told.address
ORDER BY told.workspace_id, told.channel, told.address
ON CONFLICT (workspace_id, channel, address, reason) DO UPDATE
SET source = excluded.source, created_at = excluded.created_at, expires_at = excluded.expires_at
WHERE s.created_at < excluded.created_at

-- name: release
-- The recipient wants to hear from us again. It is kept as well where nothing was suppressed yet: what is told late, and
-- happened before, suppresses nobody. One number may serve many workspaces, and the vendor opens it for all of them: so
-- it ends in each that the account has written to the address for, also where the vendor refused to pass it on, which
-- suppresses as well.
INSERT INTO fleet.suppressions AS s (workspace_id, channel, address, reason, source, created_at, released_at)
SELECT w.workspace_id, e.channel, e.address, k.reason, 'event ' || min(e.id), '-infinity', max(e.occurred_at)
FROM fleet.events e
JOIN json_to_recordset(%(releasing)s) AS k (kind text, reason text) USING (kind)
CROSS JOIN LATERAL (
    SELECT e.workspace_id
    UNION
    SELECT coalesce(o.workspace_id, o.tenant_id)
    FROM fleet.attempts a
    JOIN public.channel_outbox o ON o.id = a.message_id
    WHERE a.address = e.address AND a.provider = e.provider AND a.account_tenant_id = e.tenant_id
) AS w
WHERE e.id = ANY (%(ids)s::bigint[]) AND w.workspace_id IS NOT NULL AND e.channel IS NOT NULL AND e.address IS NOT NULL
GROUP BY w.workspace_id, e.channel, e.address, k.reason
ORDER BY w.workspace_id, e.channel, e.address, k.reason
ON CONFLICT (workspace_id, channel, address, reason) DO UPDATE
SET released_at = excluded.released_at
WHERE s.released_at IS NULL OR s.released_at < excluded.released_at

-- name: hint_campaigns
-- Whatever was applied may change what is counted of its campaign: campaigns/metrics.py counts it again.
INSERT INTO fleet.campaign_hints (campaign_id, at)
SELECT DISTINCT e.campaign_id, fleet.now()
FROM fleet.events e
WHERE e.id = ANY (%(ids)s::bigint[]) AND e.campaign_id IS NOT NULL
