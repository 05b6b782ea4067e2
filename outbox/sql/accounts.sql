-- Whose credentials a message goes out under. One block for each provider whose settings tenants keep, named as the
-- provider: (tenant, connected, the settings as texts), and the secret of its callbacks where it has one of its own.

-- name: resend
SELECT DISTINCT ON (s.tenant_id) s.tenant_id, coalesce(s.is_connected, false), jsonb_build_object(
    'api_key_encrypted', coalesce(s.api_key_encrypted, ''),
    'from_email', coalesce(s.from_email, ''),
    'from_name', coalesce(s.from_name, '')
), coalesce(a.webhook_secret, '')
FROM public.ai_settings_resend s
LEFT JOIN fleet.accounts a ON a.tenant_id = s.tenant_id AND a.provider = 'resend'
WHERE s.tenant_id = ANY (%(tenants)s::uuid[])
ORDER BY s.tenant_id, s.updated_at DESC NULLS LAST

-- name: twilio
SELECT DISTINCT ON (s.tenant_id) s.tenant_id, coalesce(s.is_connected, false), jsonb_build_object(
    'twilio_account_sid', coalesce(s.twilio_account_sid, ''),
    'twilio_auth_token', coalesce(s.twilio_auth_token, ''),
    'twilio_phone_number', coalesce(s.twilio_phone_number, '')
)
FROM public.ai_settings_twilio s
WHERE s.tenant_id = ANY (%(tenants)s::uuid[])
ORDER BY s.tenant_id, s.updated_at DESC NULLS LAST

-- name: vapi
SELECT DISTINCT ON (s.tenant_id) s.tenant_id, coalesce(s.is_connected, false), jsonb_build_object(
    'vapi_private_key', coalesce(s.vapi_private_key, ''),
    'default_vapi_assistant_id', coalesce(s.default_vapi_assistant_id, ''),
    'phone_number_id', coalesce((
        SELECT n.provider_id
        FROM public.voice_phone_numbers n
        WHERE n.tenant_id = s.tenant_id AND n.provider::text = 'vapi' AND n.is_active AND n.provider_id IS NOT NULL
        ORDER BY n.created_at
        LIMIT 1
    ), '')
), coalesce(a.webhook_secret, '')
FROM public.ai_settings_voice s
LEFT JOIN fleet.accounts a ON a.tenant_id = s.tenant_id AND a.provider = 'vapi'
WHERE s.tenant_id = ANY (%(tenants)s::uuid[])
ORDER BY s.tenant_id, s.updated_at DESC NULLS LAST

-- name: generic
-- No provider, but the door of a tenant's own gateways: a secret is all there is. No row for a tenant: it has none.
SELECT a.tenant_id, true, '{}'::jsonb, a.webhook_secret
FROM fleet.accounts a
WHERE a.provider = 'generic' AND a.tenant_id = ANY (%(tenants)s::uuid[]) AND a.webhook_secret IS NOT NULL

-- name: keep_webhook_secret
-- Keeps a sealed secret in the place of the one before.
WITH kept AS (
    INSERT INTO fleet.accounts (tenant_id, provider, webhook_secret)
    VALUES (%(tenant_id)s, %(provider)s, %(sealed)s)
    ON CONFLICT (tenant_id, provider) DO UPDATE SET webhook_secret = excluded.webhook_secret
    RETURNING tenant_id, provider
)
INSERT INTO fleet.audit_log (actor, action, workspace_id, subject)
SELECT %(actor)s, 'webhook_secret', k.tenant_id, k.provider
FROM kept k
RETURNING id

-- name: halts
-- Accounts of one provider that are halted now, and for how long.
SELECT a.tenant_id, a.halted_fingerprint, a.halted_code, a.halted_reason,
    extract(epoch FROM a.halted_until - fleet.now())::float8
FROM fleet.accounts a
WHERE a.provider = %(provider)s AND a.tenant_id = ANY (%(tenants)s::uuid[]) AND a.halted_until > fleet.now()

-- name: halt
INSERT INTO fleet.accounts AS a (
    tenant_id, provider, halted_at, halted_until, halted_code, halted_reason, halted_fingerprint
)
VALUES (
    %(tenant_id)s, %(provider)s, fleet.now(), fleet.now() + make_interval(secs => %(seconds)s), %(code)s, %(reason)s,
    %(fingerprint)s
)
ON CONFLICT (tenant_id, provider) DO UPDATE
SET halted_at = CASE WHEN a.halted_until > fleet.now() THEN a.halted_at ELSE excluded.halted_at END,
    halted_until = excluded.halted_until,
    halted_code = excluded.halted_code,
    halted_reason = excluded.halted_reason,
    halted_fingerprint = excluded.halted_fingerprint
RETURNING a.tenant_id

-- name: is_halted
-- Is any tenant's own account halted?
SELECT EXISTS (SELECT FROM fleet.accounts a WHERE a.halted_until > fleet.now() AND a.tenant_id <> %(nobody)s)

-- name: put_off
-- scheduled -> scheduled, until the halt is over, with its reason: what is due on one channel of tenants whose own account
-- is halted, many at once, so that it costs the others neither a claim nor a place in a bundle. They come back spread.
-- Looked at is what claims would reach next, the head of each band; what is behind it slows nobody down. Like the first
-- claim it fixes a message's end by its channel's late policy, counted from the time at which it was due.
-- No row: nothing of them is there.
WITH held AS MATERIALIZED (
    SELECT o.id, a.halted_until, a.halted_code, a.halted_reason
    FROM (VALUES (0), (1), (2)) AS bands (band)
    CROSS JOIN LATERAL (
        SELECT o.id, coalesce(o.tenant_id, o.workspace_id) AS tenant_id, coalesce(o.provider::text, %(provider)s) AS provider
        FROM public.channel_outbox o
        WHERE o.status = 'scheduled'
          AND o.channel = %(channel)s
          AND CASE WHEN o.priority > 0 THEN 0 WHEN o.priority < 0 THEN 2 ELSE 1 END = bands.band
          AND coalesce(o.scheduled_at, o.created_at) <= fleet.now()
        ORDER BY coalesce(o.scheduled_at, o.created_at)
        LIMIT %(limit)s
    ) AS o
    JOIN fleet.accounts a ON a.tenant_id = o.tenant_id AND a.provider = o.provider AND a.halted_until > fleet.now()
),
locked AS MATERIALIZED (
    SELECT o.id
    FROM public.channel_outbox o
    JOIN held h ON h.id = o.id
    WHERE o.status = 'scheduled'
    ORDER BY o.id
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE public.channel_outbox o
SET scheduled_at = h.halted_until + make_interval(secs => random() * %(spread_seconds)s),
    expires_at = coalesce(o.expires_at, coalesce(o.scheduled_at, o.created_at) + make_interval(secs => %(late_after_seconds)s::float8)),
    error_code = h.halted_code,
    error_message = h.halted_reason,
    updated_at = fleet.now()
FROM held h
JOIN locked l USING (id)
WHERE o.id = h.id AND o.status = 'scheduled'
RETURNING o.id
