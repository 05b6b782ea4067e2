-- What the API's roles may ask for, as Supabase grants it; which rows they get is up to row level security.
--
-- Only on tables on which nobody was ever granted or denied anything (relacl is NULL), as those are that the files
-- before this one made: an owner who gave or took a right has decided. Hence on Supabase, whose default privileges
-- grant with the making of a table, nothing is granted here. channel_outbox and job_queue are not in the list: a right
-- on them comes only with the making of them.

DO $grants$
DECLARE
    granted record;
    numbers text;
BEGIN
    FOR granted IN
        SELECT oid::regclass AS name, relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relacl IS NULL AND relname = ANY (ARRAY[
            'workspaces', 'workspace_members', 'user_tenants', 'user_roles', 'business_profiles',
            'leads', 'crm_contacts', 'deals', 'tasks', 'email_sequences',
            'cmo_brand_profiles', 'cmo_icp_segments', 'cmo_offers', 'cmo_marketing_plans', 'cmo_campaigns',
            'cmo_content_assets', 'cmo_funnels', 'assets', 'asset_approvals', 'content_calendar',
            'campaigns', 'campaign_metrics', 'campaign_audit_log',
            'voice_agents', 'voice_phone_numbers', 'voice_call_records',
            'ai_settings_resend', 'ai_settings_twilio', 'ai_settings_voice', 'ai_settings_social',
            'cro_targets', 'cro_forecasts', 'cro_deal_reviews', 'cro_recommendations',
            'kernel_events', 'kernel_decisions', 'kernel_actions', 'industry_verticals'
        ])
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO authenticated, service_role', granted.name);
        IF granted.relname = 'industry_verticals' THEN
            EXECUTE format('GRANT SELECT ON %s TO anon', granted.name);
        END IF;
        -- The kernel numbers its rows; whoever inserts one draws a number.
        numbers := CASE WHEN starts_with(granted.relname, 'kernel_')
                        THEN pg_get_serial_sequence('public.' || granted.relname, 'id') END;
        IF numbers IS NOT NULL THEN
            EXECUTE format('GRANT USAGE ON SEQUENCE %s TO authenticated, service_role', numbers);
        END IF;
    END LOOP;
END
$grants$;
