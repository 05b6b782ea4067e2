-- What became of a campaign's messages, counted from the ledger and the events and never added up. A campaign is due
-- when something of it has changed: a hint says so, and a sweep for what no hint says.

-- name: fold
-- Takes hints and marks their campaigns due. It ends before anything is counted, so the count sees the changes that the
-- hints were written with. A campaign that is no row of campaigns or cmo_campaigns is not marked. No row: no hint.
WITH taken AS MATERIALIZED (
    SELECT h.ctid AS place FROM fleet.campaign_hints h LIMIT %(limit)s FOR UPDATE OF h SKIP LOCKED
),
folded AS (
    DELETE FROM fleet.campaign_hints h
    WHERE h.ctid = ANY (ARRAY(SELECT t.place FROM taken t))
    RETURNING h.campaign_id
),
named AS MATERIALIZED (
    SELECT f.campaign_id, EXISTS (SELECT FROM public.campaigns c WHERE c.id = f.campaign_id)
        OR EXISTS (SELECT FROM public.cmo_campaigns m WHERE m.id = f.campaign_id) AS is_known
    FROM (SELECT DISTINCT d.campaign_id FROM folded d) AS f
),
marked AS (
    INSERT INTO fleet.campaign_rollups AS r (campaign_id)
    SELECT n.campaign_id FROM named n WHERE n.is_known ORDER BY n.campaign_id
    ON CONFLICT (campaign_id) DO UPDATE SET changes = r.changes + 1
)
SELECT n.campaign_id, n.is_known FROM named n

-- name: sweep
-- Marks the campaigns due of whose messages something was tried or heard lately. No row: nothing was.
INSERT INTO fleet.campaign_rollups AS r (campaign_id)
SELECT s.campaign_id
FROM (
    SELECT o.campaign_id
    FROM fleet.attempts a
    JOIN public.channel_outbox o ON o.id = a.message_id
    WHERE a.finished_at >= fleet.now() - make_interval(secs => %(since_seconds)s)
    UNION
    SELECT e.campaign_id FROM fleet.events e WHERE e.received_at >= fleet.now() - make_interval(secs => %(since_seconds)s)
) AS s
WHERE s.campaign_id IS NOT NULL
  AND (
      EXISTS (SELECT FROM public.campaigns c WHERE c.id = s.campaign_id)
      OR EXISTS (SELECT FROM public.cmo_campaigns m WHERE m.id = s.campaign_id)
  )
ORDER BY s.campaign_id
ON CONFLICT (campaign_id) DO UPDATE SET changes = r.changes + 1
RETURNING r.campaign_id

-- name: patience
-- A large campaign is counted longer than a statement of the fleet may take otherwise.
SELECT set_config('statement_timeout', %(seconds)s || 's', true)

-- name: wait_briefly
-- Whoever holds one campaign's row of figures does not keep the figures of the others waiting.
SELECT set_config('lock_timeout', %(seconds)s || 's', true)

-- name: due
-- Campaigns with changes that are not in their figures, the longest waiting first. No row: every figure is true.
SELECT r.campaign_id
FROM fleet.campaign_rollups r
WHERE r.changes > r.counted AND r.next_at <= fleet.now()
ORDER BY r.next_at
LIMIT %(limit)s

-- name: lock_due
-- Of these, those that nobody counts in this moment: two counts of one campaign would overwrite the later with the
-- earlier. What is counted begins after it, so it holds at least the changes that are named here. No row for a campaign:
-- another scheduler has it.
SELECT r.campaign_id, r.changes
FROM (
    SELECT d.campaign_id, d.changes
    FROM fleet.campaign_rollups d
    WHERE d.campaign_id = ANY (%(campaign_ids)s::uuid[])
    OFFSET 0
) AS r
WHERE pg_try_advisory_xact_lock(hashtextextended('campaign ' || r.campaign_id, 0))

-- name: lock
-- Waits until nobody counts the campaign.
SELECT pg_advisory_xact_lock(hashtextextended('campaign ' || %(campaign_id)s::uuid, 0))

-- name: write
-- Counts each campaign's messages and what was heard of them, and writes the figures: into our row, else into the oldest
-- row of real figures, else into a new one; rows of demonstration figures stay as they are. A campaign that is launched
-- from cmo_campaigns and has no row in campaigns gets it. No row for a campaign: it is neither, or no message is its
-- own, and what its row says is left to whoever wrote it.
--
-- A message is the campaign's where its workspace is the campaign's; where one of the two has no workspace, where the
-- tenant is. Who names a campaign of others adds nothing to it.
--
-- Messages and events meet by grouping and not by a join: however wrong the planner's idea of a campaign's size may be,
-- each is read once.
WITH campaign AS MATERIALIZED (
    SELECT a.id, a.row_id, c.id IS NULL AS is_missing, m.campaign_name AS name, to_jsonb(m.channels) ->> 0 AS channel,
        m.status::text AS status,
        coalesce(c.workspace_id, m.workspace_id, m.tenant_id) AS workspace_id,
        coalesce(m.tenant_id, c.workspace_id, m.workspace_id) AS tenant_id,
        m.id IS NOT NULL AND m.workspace_id IS NULL AS is_tenants
    FROM unnest(%(campaign_ids)s::uuid[], %(row_ids)s::uuid[]) AS a (id, row_id)
    LEFT JOIN public.campaigns c ON c.id = a.id
    LEFT JOIN public.cmo_campaigns m ON m.id = a.id AND (c.id IS NULL OR c.workspace_id = coalesce(m.workspace_id, m.tenant_id))
    WHERE (c.id IS NOT NULL OR EXISTS (SELECT FROM public.workspaces w WHERE w.id = coalesce(m.workspace_id, m.tenant_id)))
      AND (%(workspace_id)s::uuid IS NULL OR %(workspace_id)s::uuid = coalesce(c.workspace_id, m.workspace_id, m.tenant_id))
),
counted AS MATERIALIZED (
    SELECT c.*, n.*
    FROM campaign c
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE g.is_own) AS messages,
            sum(g.rows) AS rows,
            count(*) FILTER (WHERE g.is_own AND g.is_sent) AS sent,
            count(*) FILTER (WHERE g.is_own AND g.is_delivered) AS delivered,
            count(*) FILTER (WHERE g.is_own AND g.is_opened) AS opened,
            count(*) FILTER (WHERE g.is_own AND g.is_clicked) AS clicked,
            count(*) FILTER (WHERE g.is_own AND (g.is_bounced OR (g.is_soft AND g.is_undelivered))) AS bounced,
            count(*) FILTER (WHERE g.is_own AND g.is_unsubscribed) AS unsubscribed
        FROM (
            SELECT count(*) AS rows,
                bool_or(r.is_own) AS is_own,
                bool_or(r.is_sent) AS is_sent,
                bool_or(r.status = 'delivered') AS is_delivered,
                bool_or(r.status = 'failed' AND r.error_class = 'undelivered') AS is_undelivered,
                bool_or(r.kind = %(opened)s) AS is_opened,
                bool_or(r.kind = %(clicked)s) AS is_clicked,
                bool_or(r.kind = %(bounced)s) AS is_bounced,
                bool_or(r.kind = %(soft)s) AS is_soft,
                bool_or(r.kind = ANY (%(unsubscribed)s::text[])) AS is_unsubscribed
            FROM (
                SELECT o.id, o.status::text AS status, o.error_class::text AS error_class, NULL::text AS kind,
                    coalesce(o.workspace_id, o.tenant_id) = c.workspace_id
                        OR ((o.workspace_id IS NULL OR c.is_tenants) AND o.tenant_id = c.tenant_id) AS is_own,
                    CASE
                        WHEN o.status IN ('sent', 'delivered') THEN true
                        WHEN o.status = 'failed' AND o.error_class = 'undelivered' THEN true
                        -- A person tried it again, or took it back, and the vendor has accepted an earlier attempt.
                        WHEN o.attempts > 0 THEN coalesce((
                            SELECT true
                            FROM fleet.attempts a
                            WHERE a.message_id = o.id AND (a.outcome = 'accepted' OR a.resolution IN ('accepted', 'arrived'))
                            LIMIT 1
                        ), false)
                    END AS is_sent
                FROM public.channel_outbox o
                WHERE o.campaign_id = c.id
                UNION ALL
                SELECT e.message_id, NULL, NULL, e.kind, false, false
                FROM fleet.events e
                WHERE e.campaign_id = c.id AND e.kind = ANY (%(kinds)s::text[]) AND e.applied_at IS NOT NULL
                  AND e.message_id IS NOT NULL
            ) AS r
            GROUP BY r.id
        ) AS g
    ) AS n
    WHERE n.messages > 0
),
made AS (
    INSERT INTO public.campaigns (id, workspace_id, name, channel, status)
    SELECT n.id, n.workspace_id, n.name, n.channel, n.status
    FROM counted c
    CROSS JOIN LATERAL jsonb_populate_record(NULL::public.campaigns, jsonb_build_object(
        'id', c.id, 'workspace_id', c.workspace_id, 'name', coalesce(c.name, ''), 'channel', c.channel,
        'status', CASE c.status WHEN 'in_progress' THEN 'active' ELSE c.status END
    )) AS n
    WHERE c.is_missing
    ORDER BY n.id
    ON CONFLICT DO NOTHING
),
target AS MATERIALIZED (
    SELECT DISTINCT ON (c.id) c.id AS campaign_id, f.id
    FROM counted c
    JOIN public.campaign_metrics f ON f.campaign_id = c.id
    WHERE f.data_mode::text = 'real'
    ORDER BY c.id, f.id = c.row_id DESC, f.created_at NULLS FIRST, f.id
),
updated AS (
    UPDATE public.campaign_metrics f
    SET sent_count = c.sent,
        delivered_count = c.delivered,
        open_count = c.opened,
        clicks = c.clicked,
        bounce_count = c.bounced,
        unsubscribe_count = c.unsubscribed,
        last_synced_at = fleet.now(),
        updated_at = fleet.now()
    FROM counted c
    JOIN target t ON t.campaign_id = c.id
    WHERE f.id = t.id AND f.data_mode::text = 'real'
),
inserted AS (
    INSERT INTO public.campaign_metrics (
        id, campaign_id, sent_count, delivered_count, open_count, clicks, bounce_count, unsubscribe_count, data_mode,
        last_synced_at, created_at, updated_at
    )
    SELECT c.row_id, c.id, c.sent, c.delivered, c.opened, c.clicked, c.bounced, c.unsubscribed, 'real',
        fleet.now(), fleet.now(), fleet.now()
    FROM counted c
    WHERE NOT EXISTS (SELECT FROM target t WHERE t.campaign_id = c.id)
      AND NOT EXISTS (SELECT FROM public.campaign_metrics f WHERE f.id = c.row_id)  -- ours, and no longer called real
)
SELECT c.id, c.rows::bigint FROM counted c

-- name: done
-- The campaigns' changes are in their figures, and each rests from now on, not from the beginning of this transaction. No row for a campaign: it is not marked (any more).
WITH counted AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s) AS c (campaign_id uuid, changes bigint, rest_seconds float8)
),
locked AS MATERIALIZED (
    SELECT r.campaign_id
    FROM fleet.campaign_rollups r
    JOIN counted c USING (campaign_id)
    ORDER BY r.campaign_id
    FOR UPDATE OF r
)
UPDATE fleet.campaign_rollups r
SET counted = greatest(r.counted, c.changes), next_at = fleet.now() + (clock_timestamp() - now()) + make_interval(secs => c.rest_seconds)
FROM counted c
JOIN locked l USING (campaign_id)
WHERE r.campaign_id = c.campaign_id

-- name: put_off
-- What cannot be counted stays due, later.
UPDATE fleet.campaign_rollups r
SET next_at = fleet.now() + make_interval(secs => %(delay_seconds)s)
WHERE r.campaign_id = %(campaign_id)s

-- name: named
-- The campaigns that messages name, in the order of their ids after one of them, by a skip scan. No row: there is no
-- further one.
WITH RECURSIVE named (campaign_id) AS (
    (
        SELECT o.campaign_id FROM public.channel_outbox o
        WHERE o.campaign_id > %(after)s::uuid ORDER BY o.campaign_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT o.campaign_id FROM public.channel_outbox o
        WHERE o.campaign_id > n.campaign_id ORDER BY o.campaign_id LIMIT 1
    )
    FROM named n
    WHERE n.campaign_id IS NOT NULL
)
SELECT n.campaign_id FROM named n WHERE n.campaign_id IS NOT NULL LIMIT %(limit)s
