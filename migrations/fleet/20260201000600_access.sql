-- What the role fleet may do in the platform's schema: just what it needs, through row level security.

GRANT SELECT, INSERT, UPDATE, DELETE ON public.channel_outbox, public.job_queue TO fleet;
GRANT SELECT, INSERT, UPDATE ON public.voice_call_records TO fleet;
GRANT SELECT ON fleet.schema_migrations TO fleet;
GRANT SELECT ON
    public.workspaces, public.leads, public.crm_contacts, public.voice_phone_numbers,
    public.ai_settings_resend, public.ai_settings_twilio, public.ai_settings_voice, public.ai_settings_social,
    public.cmo_campaigns
TO fleet;
GRANT SELECT, INSERT ON public.campaigns TO fleet;
GRANT SELECT, INSERT, UPDATE ON public.campaign_metrics TO fleet;

-- Under row level security the fleet sees nothing without a policy of its own. Where its usual name is taken by
-- somebody else's policy, ours gets the next free one.
DO $$
DECLARE
    protected regclass;
    chosen text;
BEGIN
    FOREACH protected IN ARRAY ARRAY[
        'public.channel_outbox', 'public.job_queue', 'public.workspaces', 'public.leads', 'public.crm_contacts',
        'public.voice_phone_numbers', 'public.voice_call_records', 'public.ai_settings_resend', 'public.ai_settings_twilio',
        'public.ai_settings_voice', 'public.ai_settings_social', 'public.cmo_campaigns', 'public.campaigns',
        'public.campaign_metrics'
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

-- Whoever may write messages column by column may also fill what the fleet adds for them.
DO $$
BEGIN
    IF has_column_privilege('authenticated', 'public.channel_outbox', 'payload', 'INSERT')
       AND NOT has_table_privilege('authenticated', 'public.channel_outbox', 'INSERT') THEN
        GRANT INSERT (campaign_id, asset_id, priority, expires_at) ON public.channel_outbox TO authenticated;
    END IF;
END
$$;

-- Besides what the owner's policies admit: nobody names a tenant of others, whose credentials would then be used, nor
-- inserts a message that has been under way or bears marks of the ledger; and a job of ours, which without a workspace
-- works on everybody's messages or campaigns, is of one's own workspace.
DO $$
DECLARE
    policy record;
BEGIN
    FOR policy IN SELECT * FROM (VALUES
        ('fleet_own_insert', 'public.channel_outbox'::regclass, 'FOR INSERT', $check$
            (tenant_id IS NULL OR fleet.user_has_tenant_access(tenant_id))
            AND (status IS NULL OR status::text NOT IN (
                'queued', 'sending', 'sent', 'delivered', 'failed', 'cancelled', 'suppressed', 'unknown'))
            AND (attempts, attempts_forgiven, crashes) = (0, 0, 0)
            AND coalesce(lease_token, send_key) IS NULL
            AND coalesce(sender, provider_message_id, error_class) IS NULL
            AND coalesce(lease_expires_at, finalized_at, poll_at) IS NULL
        $check$),
        ('fleet_own_update', 'public.channel_outbox'::regclass, 'FOR UPDATE', $check$
            tenant_id IS NULL OR fleet.user_has_tenant_access(tenant_id)
        $check$),
        ('fleet_own_insert', 'public.job_queue'::regclass, 'FOR INSERT', $check$
            coalesce(job_type::text, '') NOT IN ('cancel_messages', 'retry_messages', 'recompute_metrics')
            OR coalesce(public.user_has_workspace_access(workspace_id), false)
        $check$),
        ('fleet_own_update', 'public.job_queue'::regclass, 'FOR UPDATE', $check$
            coalesce(job_type::text, '') NOT IN ('cancel_messages', 'retry_messages', 'recompute_metrics')
            OR coalesce(public.user_has_workspace_access(workspace_id), false)
        $check$)
    ) AS wanted (name, queue, command, condition) LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = policy.queue AND polname = policy.name);
        EXECUTE format('CREATE POLICY %I ON %s AS RESTRICTIVE %s TO anon, authenticated %s WITH CHECK (%s)',
            policy.name, policy.queue, policy.command,
            CASE policy.command WHEN 'FOR UPDATE' THEN 'USING (true)' END, policy.condition);
    END LOOP;
END
$$;
