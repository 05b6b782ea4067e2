-- Columns that a database lacks whose tables are older than these files; in a new one there is nothing to do.
--
-- A column that is there is left as it is, whatever its type: `fleet db plan` tells what does not fit. An added one
-- takes neither NOT NULL nor a key, which rows that are there already could break, and its default holds for rows to
-- come: a message of last year must not turn into a scheduled one. One statement a table, so that no table is locked
-- while another is waited for, and none at all where nothing is missing.

CREATE OR REPLACE FUNCTION fleet.add_missing_columns(table_name text, definitions text) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $function$
DECLARE
    additions text;
BEGIN
    SELECT string_agg(
        format('ADD COLUMN IF NOT EXISTS %I %s', definition[1], definition[2])
        || coalesce(', ALTER COLUMN ' || quote_ident(definition[1]) || ' SET DEFAULT ' || definition[3], ''), ', ')
    INTO additions
    FROM regexp_matches(definitions, '(\w+) ([\w.]+(?:\[\])?)(?: DEFAULT ([^,\n]+))?', 'g') AS definition
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = format('public.%I', table_name)::regclass AND attname = definition[1] AND NOT attisdropped
    );
    IF additions IS NOT NULL THEN
        EXECUTE format('ALTER TABLE public.%I %s', table_name, additions);
    END IF;
END
$function$;

SELECT fleet.add_missing_columns('workspaces', $$
    name text, slug text, owner_id uuid, settings jsonb DEFAULT '{}', created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('workspace_members', $$
    workspace_id uuid, user_id uuid, role text DEFAULT 'member', created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('user_tenants', $$
    user_id uuid, tenant_id uuid, role text DEFAULT 'member', created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('user_roles', $$
    user_id uuid, role public.app_role, created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('business_profiles', $$
    user_id uuid, workspace_id uuid, business_name text, business_description text, industry text,
    brand_colors jsonb, brand_fonts jsonb, logo_url text, target_audiences jsonb,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('leads', $$
    workspace_id uuid, email text, phone text, first_name text, last_name text, company text,
    status text DEFAULT 'new', score integer DEFAULT 0, source text, tags text[] DEFAULT '{}', segment_code text,
    custom_fields jsonb DEFAULT '{}', created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('crm_contacts', $$
    tenant_id uuid, email text, phone text, first_name text, last_name text, company_name text, role_title text,
    status text DEFAULT 'prospect', lifecycle_stage text, created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('deals', $$
    lead_id uuid, name text, value numeric, stage text DEFAULT 'prospecting', probability integer,
    expected_close_date date, actual_close_date date, owner_id uuid, created_by uuid, notes text,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('tasks', $$
    lead_id uuid, deal_id uuid, title text, description text, due_date timestamptz, priority text DEFAULT 'medium',
    status text DEFAULT 'pending', assigned_to uuid, created_by uuid, completed_at timestamptz,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('email_sequences', $$
    workspace_id uuid, name text, description text, status text DEFAULT 'draft',
    trigger_type text DEFAULT 'manual', total_steps integer DEFAULT 0, enrolled_count integer DEFAULT 0,
    completed_count integer DEFAULT 0, created_by uuid, created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cmo_brand_profiles', $$
    workspace_id uuid, tenant_id uuid, business_name text, industry text, icp_description text,
    value_proposition text, brand_voice text, brand_personality text, competitors text[] DEFAULT '{}',
    differentiators text[] DEFAULT '{}', created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cmo_icp_segments', $$
    workspace_id uuid, tenant_id uuid, name text, segment_code text, description text,
    firmographics jsonb DEFAULT '{}', psychographics jsonb DEFAULT '{}', pain_points text[] DEFAULT '{}',
    priority_score integer DEFAULT 0, is_active boolean DEFAULT true, created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cmo_offers', $$
    workspace_id uuid, tenant_id uuid, name text, description text, value_proposition text, pricing_model text,
    target_segment_codes text[] DEFAULT '{}', created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cmo_marketing_plans', $$
    workspace_id uuid, tenant_id uuid, plan_name text, plan_summary text, goals jsonb DEFAULT '{}',
    kpis jsonb DEFAULT '{}', budget_allocated numeric, status text DEFAULT 'draft',
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cmo_campaigns', $$
    workspace_id uuid, tenant_id uuid, campaign_name text, channels text[] DEFAULT '{}',
    target_tags text[] DEFAULT '{}', target_segment_codes text[] DEFAULT '{}', icp text, offer text,
    desired_result text, status text DEFAULT 'draft', budget_allocated numeric,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cmo_content_assets', $$
    workspace_id uuid, tenant_id uuid, campaign_id uuid, channel text, content_type text, key_message text,
    asset_url text, status text DEFAULT 'draft', created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cmo_funnels', $$
    workspace_id uuid, tenant_id uuid, funnel_name text, stages jsonb DEFAULT '[]',
    conversion_targets jsonb DEFAULT '{}', created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('assets', $$
    workspace_id uuid, type public.asset_type, status public.asset_status DEFAULT 'draft', name text,
    description text, fal_id text, vapi_id text, external_id text, preview_url text, segment_id uuid, channel text,
    goal text, content jsonb DEFAULT '{}', external_project_url text, custom_domain text,
    deployment_status text DEFAULT 'staging', views integer DEFAULT 0, created_by uuid,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('asset_approvals', $$
    asset_id uuid, status public.asset_status DEFAULT 'draft', comments text, approved_by uuid,
    created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('content_calendar', $$
    workspace_id uuid, title text, description text, content_type text, scheduled_date timestamptz,
    status text DEFAULT 'scheduled', asset_id uuid, created_by uuid, created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('campaigns', $$
    workspace_id uuid, name text, description text, channel text, status text DEFAULT 'draft',
    budget_allocated numeric, deployed_at timestamptz, created_by uuid, created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('campaign_metrics', $$
    campaign_id uuid, impressions integer DEFAULT 0, clicks integer DEFAULT 0, conversions integer DEFAULT 0,
    revenue numeric DEFAULT 0, cost numeric DEFAULT 0, engagement_rate numeric, sent_count integer DEFAULT 0,
    delivered_count integer DEFAULT 0, open_count integer DEFAULT 0, bounce_count integer DEFAULT 0,
    unsubscribe_count integer DEFAULT 0, shares integer DEFAULT 0, comments integer DEFAULT 0,
    likes integer DEFAULT 0, video_views integer DEFAULT 0, data_mode text, last_synced_at timestamptz,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('campaign_audit_log', $$
    campaign_id uuid, action text, changed_by uuid, changes jsonb, created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('channel_outbox', $$
    workspace_id uuid, tenant_id uuid, channel text, provider text, recipient_id uuid, recipient_email text,
    recipient_phone text, payload jsonb, status text DEFAULT 'scheduled', scheduled_at timestamptz,
    sent_at timestamptz, provider_response jsonb, idempotency_key text, created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('voice_agents', $$
    workspace_id uuid, tenant_id uuid, name text, description text, vapi_assistant_id text, system_prompt text,
    voice_provider text, voice_id text, status text DEFAULT 'draft', created_by uuid,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('voice_phone_numbers', $$
    tenant_id uuid, phone_number text, provider text, provider_id text, assigned_to text,
    is_active boolean DEFAULT true, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('voice_call_records', $$
    tenant_id uuid, phone_number_id uuid, vapi_call_id text, lead_id uuid, direction text,
    duration_seconds integer, transcript text, summary text, sentiment text, status text,
    created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('ai_settings_resend', $$
    tenant_id uuid, api_key_encrypted text, from_email text, from_name text, is_connected boolean DEFAULT false,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('ai_settings_twilio', $$
    tenant_id uuid, twilio_account_sid text, twilio_auth_token text, twilio_phone_number text,
    is_connected boolean DEFAULT false, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('ai_settings_voice', $$
    tenant_id uuid, vapi_private_key text, vapi_public_key text, default_vapi_assistant_id text,
    is_connected boolean DEFAULT false, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('ai_settings_social', $$
    tenant_id uuid, platform text, access_token_encrypted text, refresh_token_encrypted text,
    is_connected boolean DEFAULT false, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cro_targets', $$
    tenant_id uuid, workspace_id uuid, period text, owner_type text, owner_id text, target_new_arr numeric,
    target_pipeline numeric, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cro_forecasts', $$
    tenant_id uuid, workspace_id uuid, period text, scenario text, forecast_new_arr numeric, confidence numeric,
    notes text, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cro_deal_reviews', $$
    tenant_id uuid, workspace_id uuid, deal_id uuid, summary_md text, risks text, next_steps text, score numeric,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('cro_recommendations', $$
    tenant_id uuid, workspace_id uuid, rec_type text, priority text DEFAULT 'medium', title text, description text,
    deal_id uuid, lead_id uuid, status text DEFAULT 'open', created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('kernel_events', $$
    event_type text, tenant_id uuid, workspace_id uuid, entity_type text, entity_id text,
    payload jsonb DEFAULT '{}', metadata jsonb DEFAULT '{}', created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('kernel_decisions', $$
    event_id bigint, rule_name text, decision_outcome text, reason text, metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('kernel_actions', $$
    decision_id bigint, action_type text, status text DEFAULT 'pending', result jsonb,
    created_at timestamptz DEFAULT now(), completed_at timestamptz
$$);
SELECT fleet.add_missing_columns('job_queue', $$
    workspace_id uuid, job_type text, payload jsonb DEFAULT '{}', status text DEFAULT 'pending',
    priority integer DEFAULT 0, scheduled_at timestamptz, started_at timestamptz, completed_at timestamptz,
    retry_count integer DEFAULT 0, error_message text, created_at timestamptz DEFAULT now()
$$);
SELECT fleet.add_missing_columns('industry_verticals', $$
    name text, slug text, description text, typical_icp jsonb DEFAULT '{}', common_pain_points text[] DEFAULT '{}',
    sample_offers jsonb DEFAULT '{}', created_at timestamptz DEFAULT now()
$$);

DROP FUNCTION IF EXISTS fleet.add_missing_columns(text, text);
