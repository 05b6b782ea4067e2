-- What the role fleet may do in the platform's schema: just what it needs, through row level security.

GRANT SELECT, INSERT, UPDATE, DELETE ON public.channel_outbox, public.job_queue TO fleet;
GRANT SELECT ON fleet.schema_migrations TO fleet;
GRANT SELECT ON
    public.workspaces, public.leads, public.crm_contacts, public.voice_phone_numbers,
    public.ai_settings_resend, public.ai_settings_twilio, public.ai_settings_voice, public.ai_settings_social
TO fleet;

-- Under row level security the fleet sees nothing without a policy of its own. Where its usual name is taken by
-- somebody else's policy, ours gets the next free one.
DO $$
DECLARE
    protected regclass;
    chosen text;
BEGIN
    FOREACH protected IN ARRAY ARRAY[
        'public.channel_outbox', 'public.job_queue', 'public.workspaces', 'public.leads', 'public.crm_contacts',
        'public.voice_phone_numbers', 'public.ai_settings_resend', 'public.ai_settings_twilio',
        'public.ai_settings_voice', 'public.ai_settings_social'
    ]::regclass[] LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_policy
            WHERE polrelid = protected AND polpermissive AND polcmd = '*' AND polroles = ARRAY[to_regrole('fleet')::oid]
              AND pg_get_expr(polqual, polrelid) = 'true' AND pg_get_expr(polwithcheck, polrelid) = 'true'
        );
        SELECT name INTO chosen
        FROM unnest(ARRAY['fleet_all', 'fleet_all_1', 'fleet_all_2', 'fleet_all_3']) AS name
        WHERE NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = protected AND polname = name)
        ORDER BY name LIMIT 1;
        EXECUTE format('CREATE POLICY %I ON %s TO fleet USING (true) WITH CHECK (true)', chosen, protected);
    END LOOP;
END
$$;

-- People write the platform's columns of a message through PostgREST, and none of the ledger's. Table-wide grants
-- that somebody else made are left alone: the guard refuses what they would allow.
DO $$
BEGIN
    IF NOT has_table_privilege('authenticated', 'public.channel_outbox', 'SELECT') THEN
        GRANT SELECT ON public.channel_outbox TO authenticated;
        GRANT INSERT (id, workspace_id, tenant_id, channel, provider, recipient_id, recipient_email, recipient_phone, payload,
                      status, scheduled_at, idempotency_key, campaign_id, asset_id, priority, expires_at)
            ON public.channel_outbox TO authenticated;
        GRANT UPDATE (payload, scheduled_at, status) ON public.channel_outbox TO authenticated;
    END IF;
END
$$;
