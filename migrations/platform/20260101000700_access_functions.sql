-- Who may reach what: the questions that the policies ask, each about the person who is signed in (`auth.uid()`).
--
-- They run with their owner's rights, because a person who asks for a lead may read neither all members nor all
-- tenants, and because a policy on workspaces that read workspaces under its own policy would never end. They answer
-- false, never NULL, for nobody and for no id. In their bodies a parameter is named with its function, since a column
-- of the same name would win.

-- The owner's own function wherever there is one: the whole platform relies on it.
DO $function$
BEGIN
    IF to_regprocedure('public.user_has_workspace_access(uuid)') IS NULL THEN
        CREATE FUNCTION public.user_has_workspace_access(workspace_id uuid) RETURNS boolean
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
        AS $body$
            SELECT EXISTS (
                SELECT FROM public.workspaces AS workspace
                WHERE workspace.id = user_has_workspace_access.workspace_id AND workspace.owner_id = auth.uid()
            ) OR EXISTS (
                SELECT FROM public.workspace_members AS member
                WHERE member.workspace_id = user_has_workspace_access.workspace_id AND member.user_id = auth.uid()
            )
        $body$;
        GRANT EXECUTE ON FUNCTION public.user_has_workspace_access(uuid) TO anon, authenticated, service_role;
    END IF;
END
$function$;

-- A tenant is one that user_tenants names for the person, or a workspace of the same id.
CREATE OR REPLACE FUNCTION fleet.user_has_tenant_access(tenant_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $body$
    SELECT EXISTS (
        SELECT FROM public.user_tenants AS mine
        WHERE mine.tenant_id = user_has_tenant_access.tenant_id AND mine.user_id = auth.uid()
    ) OR coalesce(public.user_has_workspace_access(user_has_tenant_access.tenant_id), false)
$body$;

-- The audit log names a campaign of either table. Where both hold the id, the person must have both: otherwise a
-- stranger could read the log of a campaign by making one of his own with its id.
CREATE OR REPLACE FUNCTION fleet.user_has_campaign_access(campaign_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $body$
    SELECT coalesce(bool_and(candidate.mine), false)
    FROM (
        SELECT public.user_has_workspace_access(campaign.workspace_id) AS mine
        FROM public.campaigns AS campaign WHERE campaign.id = user_has_campaign_access.campaign_id
        UNION ALL
        SELECT CASE WHEN campaign.workspace_id IS NULL THEN fleet.user_has_tenant_access(campaign.tenant_id)
                    ELSE public.user_has_workspace_access(campaign.workspace_id) END
        FROM public.cmo_campaigns AS campaign WHERE campaign.id = user_has_campaign_access.campaign_id
    ) AS candidate
$body$;

-- May the person have a workspace with this id? Since a workspace opens the tenant of the same id, the id of a tenant
-- that others hold (it is no secret: webhook addresses carry it) would hand over their contacts and credentials.
CREATE OR REPLACE FUNCTION fleet.user_may_take_workspace_id(id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $body$
    SELECT CASE WHEN fleet.user_has_tenant_access(user_may_take_workspace_id.id) THEN true
    ELSE NOT EXISTS (
        SELECT FROM (
            SELECT tenant_id FROM public.user_tenants
            UNION ALL SELECT tenant_id FROM public.ai_settings_resend
            UNION ALL SELECT tenant_id FROM public.ai_settings_twilio
            UNION ALL SELECT tenant_id FROM public.ai_settings_voice
            UNION ALL SELECT tenant_id FROM public.ai_settings_social
            UNION ALL SELECT tenant_id FROM public.voice_phone_numbers
            UNION ALL SELECT tenant_id FROM public.voice_call_records
            UNION ALL SELECT tenant_id FROM public.crm_contacts
        ) AS tenant
        WHERE tenant.tenant_id = user_may_take_workspace_id.id
    ) END
$body$;

GRANT EXECUTE ON FUNCTION
    fleet.user_has_tenant_access(uuid), fleet.user_has_campaign_access(uuid), fleet.user_may_take_workspace_id(uuid)
TO anon, authenticated, service_role;
