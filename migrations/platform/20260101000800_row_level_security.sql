-- Row level security: who may see and write the rows of each table, as one matrix, and its switching on.
--
-- A policy is made only where the table has none of its name, and the policies of a table are made before its row
-- level security is switched on, in one statement: nobody is locked out in between. One statement a table, so that no
-- table is locked while another is waited for, and none at all where nothing is missing.

-- One line for each rule: its tables, the commands it is for, what may be seen (read, changed, deleted), and what may
-- be written (inserted, or left behind by a change) where that is less. Every change is checked on both sides, so that
-- no row moves to where its writer does not belong.
--
-- Where a row has both keys, workspace_id decides who sees it and tenant_id only stands in for a missing one. Whoever
-- writes must hold both: the fleet sends with the credentials of the tenant that the row names.
CREATE OR REPLACE FUNCTION fleet.platform_policies()
RETURNS TABLE (tables text, commands text, visible text, writable text)
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $matrix$
VALUES
    ('workspace_members business_profiles leads content_calendar campaigns',
     'SELECT INSERT UPDATE DELETE',
     'public.user_has_workspace_access(workspace_id)',
     NULL),

    ('cmo_brand_profiles cmo_icp_segments cmo_offers cmo_marketing_plans cmo_campaigns cmo_content_assets cmo_funnels'
     ' voice_agents cro_targets cro_forecasts cro_deal_reviews cro_recommendations kernel_events',
     'SELECT INSERT UPDATE DELETE',
     'public.user_has_workspace_access(workspace_id)
      OR (workspace_id IS NULL AND fleet.user_has_tenant_access(tenant_id))',
     'coalesce(workspace_id, tenant_id) IS NOT NULL
      AND (workspace_id IS NULL OR public.user_has_workspace_access(workspace_id))
      AND (tenant_id IS NULL OR fleet.user_has_tenant_access(tenant_id))'),

    -- Nobody deletes a message, and a new one has been tried by nobody: it starts as scheduled.
    ('channel_outbox',
     'SELECT UPDATE',
     'public.user_has_workspace_access(workspace_id)
      OR (workspace_id IS NULL AND fleet.user_has_tenant_access(tenant_id))',
     'coalesce(workspace_id, tenant_id) IS NOT NULL
      AND (workspace_id IS NULL OR public.user_has_workspace_access(workspace_id))
      AND (tenant_id IS NULL OR fleet.user_has_tenant_access(tenant_id))'),
    ('channel_outbox',
     'INSERT',
     NULL,
     'coalesce(status, ''scheduled'') = ''scheduled''
      AND coalesce(workspace_id, tenant_id) IS NOT NULL
      AND (workspace_id IS NULL OR public.user_has_workspace_access(workspace_id))
      AND (tenant_id IS NULL OR fleet.user_has_tenant_access(tenant_id))'),

    ('user_tenants crm_contacts voice_phone_numbers voice_call_records'
     ' ai_settings_resend ai_settings_twilio ai_settings_voice ai_settings_social',
     'SELECT INSERT UPDATE DELETE',
     'fleet.user_has_tenant_access(tenant_id)',
     NULL),

    -- The owner is asked for by name as well: the row of an INSERT is not there yet when the function looks.
    ('workspaces',
     'SELECT',
     'owner_id = (SELECT auth.uid()) OR public.user_has_workspace_access(id)',
     NULL),
    ('workspaces',
     'INSERT UPDATE DELETE',
     'owner_id = (SELECT auth.uid())',
     NULL),

    -- Roles are granted by service roles.
    ('user_roles',
     'SELECT',
     'user_id = (SELECT auth.uid())',
     NULL),

    -- Older rows belong to whoever made them; once a row has a workspace, the workspace decides.
    ('email_sequences assets',
     'SELECT INSERT UPDATE DELETE',
     'public.user_has_workspace_access(workspace_id) OR (workspace_id IS NULL AND created_by = (SELECT auth.uid()))',
     NULL),

    -- Children are where their parent is.
    ('asset_approvals',
     'SELECT INSERT UPDATE DELETE',
     'EXISTS (SELECT FROM public.assets AS parent WHERE parent.id = asset_approvals.asset_id
              AND (public.user_has_workspace_access(parent.workspace_id)
                   OR (parent.workspace_id IS NULL AND parent.created_by = auth.uid())))',
     NULL),
    ('deals',
     'SELECT INSERT UPDATE DELETE',
     'EXISTS (SELECT FROM public.leads AS parent WHERE parent.id = deals.lead_id
              AND public.user_has_workspace_access(parent.workspace_id))',
     NULL),
    ('tasks',
     'SELECT INSERT UPDATE DELETE',
     'EXISTS (SELECT FROM public.leads AS parent WHERE parent.id = coalesce(
                  tasks.lead_id, (SELECT deal.lead_id FROM public.deals AS deal WHERE deal.id = tasks.deal_id))
              AND public.user_has_workspace_access(parent.workspace_id))',
     NULL),
    ('campaign_metrics',
     'SELECT INSERT UPDATE DELETE',
     'EXISTS (SELECT FROM public.campaigns AS parent WHERE parent.id = campaign_metrics.campaign_id
              AND public.user_has_workspace_access(parent.workspace_id))',
     NULL),
    ('campaign_audit_log',
     'SELECT INSERT UPDATE DELETE',
     'fleet.user_has_campaign_access(campaign_id)',
     NULL),
    ('kernel_decisions',
     'SELECT INSERT UPDATE DELETE',
     'EXISTS (SELECT FROM public.kernel_events AS parent WHERE parent.id = kernel_decisions.event_id
              AND (public.user_has_workspace_access(parent.workspace_id)
                   OR (parent.workspace_id IS NULL AND fleet.user_has_tenant_access(parent.tenant_id))))',
     NULL),
    ('kernel_actions',
     'SELECT INSERT UPDATE DELETE',
     'EXISTS (SELECT FROM public.kernel_decisions AS decision
              JOIN public.kernel_events AS parent ON parent.id = decision.event_id
              WHERE decision.id = kernel_actions.decision_id
              AND (public.user_has_workspace_access(parent.workspace_id)
                   OR (parent.workspace_id IS NULL AND fleet.user_has_tenant_access(parent.tenant_id))))',
     NULL),

    -- Read by everybody, signed in or not; written by service roles. No rule stands for job_queue: it is theirs alone.
    ('industry_verticals',
     'SELECT',
     'true',
     NULL)
$matrix$;

CREATE OR REPLACE FUNCTION fleet.protect(table_name text) RETURNS void
LANGUAGE plpgsql SET search_path = ''
AS $function$
DECLARE
    target CONSTANT regclass := format('public.%I', table_name)::regclass;
    policy record;
BEGIN
    FOR policy IN
        SELECT
            'workspace_' || kind.verb AS name, kind.command,
            rule.visible, coalesce(rule.writable, rule.visible) AS writable
        FROM fleet.platform_policies() AS rule
        CROSS JOIN (
            VALUES ('read', 'SELECT'), ('write', 'INSERT'), ('update', 'UPDATE'), ('delete', 'DELETE')
        ) AS kind (verb, command)
        WHERE table_name = ANY (string_to_array(rule.tables, ' '))
          AND kind.command = ANY (string_to_array(rule.commands, ' '))
          AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_policy WHERE polrelid = target AND polname = 'workspace_' || kind.verb)
    LOOP
        EXECUTE format('CREATE POLICY %I ON %s FOR %s', policy.name, target, policy.command)
            || CASE WHEN policy.command <> 'INSERT' THEN format(' USING (%s)', policy.visible) ELSE '' END
            || CASE WHEN policy.command IN ('INSERT', 'UPDATE')
                    THEN format(' WITH CHECK (%s)', policy.writable) ELSE '' END;
    END LOOP;

    -- Where nobody could give service_role BYPASSRLS, a policy lets it through.
    IF NOT (SELECT rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = 'service_role')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy WHERE polrelid = target AND polname = 'service_all') THEN
        EXECUTE format('CREATE POLICY service_all ON %s TO service_role USING (true) WITH CHECK (true)', target);
    END IF;

    IF NOT (SELECT relrowsecurity FROM pg_catalog.pg_class WHERE oid = target) THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    END IF;
END
$function$;

-- Besides what any other policy allows, so that it also holds where the owner has a policy for making workspaces.
DO $policy$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_policy WHERE polrelid = 'public.workspaces'::regclass AND polname = 'fleet_workspace_id_is_free'
    ) THEN
        CREATE POLICY fleet_workspace_id_is_free ON public.workspaces AS RESTRICTIVE TO authenticated
            USING (true) WITH CHECK (fleet.user_may_take_workspace_id(id));
    END IF;
END
$policy$;

SELECT fleet.protect('workspaces');
SELECT fleet.protect('workspace_members');
SELECT fleet.protect('user_tenants');
SELECT fleet.protect('user_roles');
SELECT fleet.protect('business_profiles');
SELECT fleet.protect('leads');
SELECT fleet.protect('crm_contacts');
SELECT fleet.protect('deals');
SELECT fleet.protect('tasks');
SELECT fleet.protect('email_sequences');
SELECT fleet.protect('cmo_brand_profiles');
SELECT fleet.protect('cmo_icp_segments');
SELECT fleet.protect('cmo_offers');
SELECT fleet.protect('cmo_marketing_plans');
SELECT fleet.protect('cmo_campaigns');
SELECT fleet.protect('cmo_content_assets');
SELECT fleet.protect('cmo_funnels');
SELECT fleet.protect('assets');
SELECT fleet.protect('asset_approvals');
SELECT fleet.protect('content_calendar');
SELECT fleet.protect('campaigns');
SELECT fleet.protect('campaign_metrics');
SELECT fleet.protect('campaign_audit_log');
SELECT fleet.protect('channel_outbox');
SELECT fleet.protect('voice_agents');
SELECT fleet.protect('voice_phone_numbers');
SELECT fleet.protect('voice_call_records');
SELECT fleet.protect('ai_settings_resend');
SELECT fleet.protect('ai_settings_twilio');
SELECT fleet.protect('ai_settings_voice');
SELECT fleet.protect('ai_settings_social');
SELECT fleet.protect('cro_targets');
SELECT fleet.protect('cro_forecasts');
SELECT fleet.protect('cro_deal_reviews');
SELECT fleet.protect('cro_recommendations');
SELECT fleet.protect('kernel_events');
SELECT fleet.protect('kernel_decisions');
SELECT fleet.protect('kernel_actions');
SELECT fleet.protect('job_queue');
SELECT fleet.protect('industry_verticals');

DROP FUNCTION IF EXISTS fleet.protect(text);
DROP FUNCTION IF EXISTS fleet.platform_policies();
