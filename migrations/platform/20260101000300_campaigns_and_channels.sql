-- What goes out and through whom: campaigns and their figures, the outbox, voice, the vendors' settings per tenant.

CREATE TABLE IF NOT EXISTS public.campaigns (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES public.workspaces (id),
    name text NOT NULL,
    description text,
    channel text,  -- email, social, video, voice
    status text DEFAULT 'draft',  -- draft, active, completed
    budget_allocated numeric,
    deployed_at timestamptz,
    created_by uuid,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.campaign_metrics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    campaign_id uuid NOT NULL REFERENCES public.campaigns (id),
    impressions integer DEFAULT 0,
    clicks integer DEFAULT 0,
    conversions integer DEFAULT 0,
    revenue numeric DEFAULT 0,
    cost numeric DEFAULT 0,
    engagement_rate numeric,
    sent_count integer DEFAULT 0,
    delivered_count integer DEFAULT 0,
    open_count integer DEFAULT 0,
    bounce_count integer DEFAULT 0,
    unsubscribe_count integer DEFAULT 0,
    shares integer DEFAULT 0,
    comments integer DEFAULT 0,
    likes integer DEFAULT 0,
    video_views integer DEFAULT 0,
    data_mode text,  -- real, demo; no default, so that a figure counts as real only where somebody says so
    last_synced_at timestamptz,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

-- campaign_id names a row of campaigns or of cmo_campaigns, hence no foreign key.
CREATE TABLE IF NOT EXISTS public.campaign_audit_log (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    campaign_id uuid,
    action text,  -- created, updated, launched
    changed_by uuid,
    changes jsonb,
    created_at timestamptz DEFAULT now()
);

-- The promised deliveries. An owner who has the table decides who may touch it, so the grants come with the making of
-- it and never later. People may write a message and change what is still to be sent, column by column.
DO $table$
BEGIN
    IF to_regclass('public.channel_outbox') IS NULL THEN
        CREATE TABLE public.channel_outbox (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            workspace_id uuid,
            tenant_id uuid,
            channel text,  -- email, sms, voice, voice_vm, linkedin, landing_page
            provider text,  -- resend, twilio, vapi, ...
            recipient_id uuid,
            recipient_email text,
            recipient_phone text,
            payload jsonb,
            status text DEFAULT 'scheduled',  -- scheduled, sent, delivered, failed, and those that the fleet adds
            scheduled_at timestamptz,
            sent_at timestamptz,
            provider_response jsonb,
            idempotency_key text UNIQUE,
            created_at timestamptz DEFAULT now()
        );
        GRANT SELECT, INSERT, UPDATE, DELETE ON public.channel_outbox TO service_role;
        GRANT SELECT ON public.channel_outbox TO authenticated;
        GRANT INSERT (id, workspace_id, tenant_id, channel, provider, recipient_id, recipient_email, recipient_phone,
                      payload, status, scheduled_at, idempotency_key)
            ON public.channel_outbox TO authenticated;
        GRANT UPDATE (payload, scheduled_at, status) ON public.channel_outbox TO authenticated;
    END IF;
END
$table$;

CREATE TABLE IF NOT EXISTS public.voice_agents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid,
    tenant_id uuid,
    name text NOT NULL,
    description text,
    vapi_assistant_id text,
    system_prompt text,
    voice_provider text,
    voice_id text,
    status text DEFAULT 'draft',  -- draft, active, archived
    created_by uuid,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.voice_phone_numbers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    phone_number text UNIQUE,
    provider text,  -- vapi, twilio
    provider_id text,
    assigned_to text,
    is_active boolean DEFAULT true,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.voice_call_records (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    phone_number_id uuid REFERENCES public.voice_phone_numbers (id),
    vapi_call_id text,
    lead_id uuid REFERENCES public.leads (id),
    direction text,  -- inbound, outbound
    duration_seconds integer,
    transcript text,
    summary text,
    sentiment text,
    status text,  -- completed, failed, no_answer
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.ai_settings_resend (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    api_key_encrypted text,
    from_email text,
    from_name text,
    is_connected boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.ai_settings_twilio (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    twilio_account_sid text,
    twilio_auth_token text,
    twilio_phone_number text,
    is_connected boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.ai_settings_voice (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    vapi_private_key text,
    vapi_public_key text,
    default_vapi_assistant_id text,
    is_connected boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.ai_settings_social (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid,
    platform text,  -- linkedin, facebook, twitter
    access_token_encrypted text,
    refresh_token_encrypted text,
    is_connected boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
