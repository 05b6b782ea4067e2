-- Cancelling a scope. Which messages belong to it is asked of fleet.scope_keys, as a start asks: what the mark holds is
-- what is cancelled. The campaign is compared once more by its column, because that has an index.

-- name: seen
-- How many messages could be taken back, how many are with a vendor, and whether a mark stands, be it of a cancel that
-- died.
SELECT count(*) FILTER (WHERE o.status IN ('scheduled', 'queued')), count(*) FILTER (WHERE o.status = 'sending'),
    EXISTS (
        SELECT
        FROM fleet.pauses p
        WHERE p.scope_key = %(scope_key)s AND p.kind = 'cancel' AND (p.until IS NULL OR p.until > fleet.now())
    )
FROM public.channel_outbox o
WHERE o.status IN ('scheduled', 'queued', 'sending')
  AND (%(campaign_id)s::uuid IS NULL OR o.campaign_id = %(campaign_id)s::uuid)
  AND %(scope_key)s = ANY (fleet.scope_keys(
      o.channel::text, coalesce(o.provider::text, %(default_providers)s::jsonb ->> o.channel::text),
      coalesce(o.workspace_id, o.tenant_id), o.campaign_id
  ))

-- name: mark
-- From its commit on no start of the scope passes, and no relay claims of it.
WITH marked AS (
    INSERT INTO fleet.pauses (scope_key, kind, reason, created_by, created_at)
    VALUES (%(scope_key)s, 'cancel', %(reason)s, %(actor)s, fleet.now())
    RETURNING created_at
),
noted AS (
    INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
    VALUES (%(actor)s, 'cancel_begun', %(workspace_id)s, %(scope_key)s, jsonb_build_object('reason', %(reason)s::text))
)
SELECT m.created_at FROM marked m

-- name: take_back
-- scheduled or queued -> cancelled: the scope's next messages in the order of their ids, but for those that were
-- inserted since the mark; whoever says to have been inserted in the future is not believed. It waits for starts that
-- hold a row, and then leaves it to them. No row: there is no further one.
WITH chosen AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    WHERE o.status IN ('scheduled', 'queued')
      AND (%(after)s::uuid IS NULL OR o.id > %(after)s::uuid)
      AND (%(campaign_id)s::uuid IS NULL OR o.campaign_id = %(campaign_id)s::uuid)
      AND %(scope_key)s = ANY (fleet.scope_keys(
          o.channel::text, coalesce(o.provider::text, %(default_providers)s::jsonb ->> o.channel::text),
          coalesce(o.workspace_id, o.tenant_id), o.campaign_id
      ))
      AND (o.created_at > %(marked_at)s AND o.created_at <= fleet.now()) IS NOT TRUE
    ORDER BY o.id
    LIMIT %(limit)s
    FOR UPDATE OF o
)
UPDATE public.channel_outbox o
SET status = 'cancelled',
    lease_token = NULL,
    lease_expires_at = NULL,
    error_code = 'cancelled',
    error_message = %(why)s,
    finalized_at = fleet.now(),
    updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT c.id FROM chosen c)) AND o.status IN ('scheduled', 'queued')
RETURNING o.id

-- name: sending
-- How many messages of the scope are with a vendor under a lease that is alive: their outcome is still to come.
SELECT count(*)
FROM public.channel_outbox o
JOIN fleet.batches b ON b.send_key = o.send_key AND b.lease_token IS NOT NULL AND b.lease_expires_at > fleet.now()
WHERE o.status = 'sending'
  AND (%(campaign_id)s::uuid IS NULL OR o.campaign_id = %(campaign_id)s::uuid)
  AND %(scope_key)s = ANY (fleet.scope_keys(
      o.channel::text, coalesce(o.provider::text, %(default_providers)s::jsonb ->> o.channel::text),
      coalesce(o.workspace_id, o.tenant_id), o.campaign_id
  ))

-- name: end
-- What is unknown is not tried again after the cancel, also where the vendor's record shows no trace of it: its time is
-- over. Proof that it was accepted still counts. No row: nothing of the scope is unknown.
WITH unresolved AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    WHERE o.status IN ('sending', 'unknown')
      AND (%(campaign_id)s::uuid IS NULL OR o.campaign_id = %(campaign_id)s::uuid)
      AND %(scope_key)s = ANY (fleet.scope_keys(
          o.channel::text, coalesce(o.provider::text, %(default_providers)s::jsonb ->> o.channel::text),
          coalesce(o.workspace_id, o.tenant_id), o.campaign_id
      ))
    ORDER BY o.id
    FOR UPDATE OF o
)
UPDATE public.channel_outbox o
SET expires_at = least(o.expires_at, fleet.now()), updated_at = fleet.now()
WHERE o.id = ANY (ARRAY(SELECT u.id FROM unresolved u)) AND o.status IN ('sending', 'unknown')
RETURNING o.id

-- name: beyond
-- What the cancel came too late for: accepted by a vendor since the mark, and unknown. What is sending by now has lost
-- its lease, and is unknown as soon as the rescuer comes.
SELECT count(*) FILTER (WHERE o.status IN ('sent', 'delivered')), count(*) FILTER (WHERE o.status IN ('sending', 'unknown'))
FROM public.channel_outbox o
WHERE (o.status IN ('sending', 'unknown') OR (o.status IN ('sent', 'delivered') AND o.sent_at >= %(marked_at)s))
  AND (%(campaign_id)s::uuid IS NULL OR o.campaign_id = %(campaign_id)s::uuid)
  AND %(scope_key)s = ANY (fleet.scope_keys(
      o.channel::text, coalesce(o.provider::text, %(default_providers)s::jsonb ->> o.channel::text),
      coalesce(o.workspace_id, o.tenant_id), o.campaign_id
  ))

-- name: lift
-- Ends the mark, and those of cancels of the same scope that died before; that of a later one stands.
WITH lifted AS (
    UPDATE fleet.pauses p
    SET until = fleet.now()
    WHERE p.scope_key = %(scope_key)s AND p.kind = 'cancel' AND p.until IS NULL AND p.created_at <= %(marked_at)s
)
INSERT INTO fleet.audit_log (actor, action, workspace_id, subject, detail)
VALUES (
    %(actor)s, 'cancel', %(workspace_id)s, %(scope_key)s,
    jsonb_build_object(
        'reason', %(reason)s::text, 'messages', %(cancelled)s::bigint, 'with_vendor', %(with_vendor)s::bigint,
        'unknown', %(unknown)s::bigint
    )
)
RETURNING id
